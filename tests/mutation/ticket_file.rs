//! Ticket files, which come from other machines.

use super::{bytes, harness, readers, seeds};
use lottery::experiment::TicketFile;

#[test]
fn any_ticket_file_is_taken_up_or_refused() {
    let files = seeds::ticket_files();
    for file in &files {
        assert_eq!(TicketFile::parse("t".as_ref(), file).unwrap().about.task, "sst2");
    }
    harness::run("ticket file", 20, |random| {
        let mut file = random.of_list(&files).clone();
        let other: &Vec<u8> = random.of_list(&files);
        bytes::mutate(&mut file, other, random);
        readers::ticket_file(&file);
    });
}
