//! TFRecord framing: length (u64), its checksum, the message, its checksum, all little endian.

use super::proto::Event;
use prost::Message;

/// TensorFlow's masked CRC-32C, which stays a good checksum for data that contains checksums.
fn masked(bytes: &[u8]) -> [u8; 4] {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

/// The event framed as a record.
pub fn framed(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    [&length[..], &masked(&length), &message, &masked(&message)].concat()
}

/// The events of a file, up to the first record that is cut off or damaged.
pub fn events(mut bytes: &[u8]) -> Vec<Event> {
    let mut found = Vec::new();
    while let Some((event, rest)) = first(bytes) {
        found.push(event);
        bytes = rest;
    }
    found
}

fn first(bytes: &[u8]) -> Option<(Event, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (check, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    if *check != masked(length) || size > rest.len() {
        return None;
    }
    let (message, rest) = rest.split_at(size);
    let (check, rest) = rest.split_first_chunk::<4>()?;
    (*check == masked(message)).then(|| Some((Event::decode(message).ok()?, rest)))?
}

#[cfg(test)]
mod tests {
    use super::super::proto::{Summary, Value};
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn scalar(step: i64, value: Value) -> Event {
        let summary = Some(Summary { value: vec![value] });
        Event { wall_time: 1_767_225_600.5, step, file_version: None, summary }
    }

    // By tensorboard 2.21, with RecordWriter of tensorboard.summary.writer.record_writer and its event_pb2:
    // Event(wall_time=1767225600.5, step=7) and a value of tag "train/loss" with simple_value=0.25,
    // Event(wall_time=1767225600.5, file_version="brain.Event:2"),
    // Event(wall_time=1767225600.5) and a value of tag "eval/accuracy" with simple_value=0.0.
    #[test]
    fn bytes_are_those_that_tensorboard_writes() {
        let loss = Value { tag: "train/loss".into(), simple_value: Some(0.25) };
        let version =
            Event { file_version: Some("brain.Event:2".into()), summary: None, ..scalar(0, loss.clone()) };
        let accuracy = Value { tag: "eval/accuracy".into(), simple_value: Some(0.0) };
        let events = [scalar(7, loss), version, scalar(0, accuracy)];
        let written = events.each_ref().map(|event| hex(&framed(event)));
        let theirs = [
            "200000000000000029eda95009000020406e55da4110072a130a110a0a747261696e2f6c6f7373150000803e510886a0",
            "1800000000000000a37f4b2209000020406e55da411a0d627261696e2e4576656e743a3284ffcb71",
            "2100000000000000017becf609000020406e55da412a160a140a0d6576616c2f61636375726163791500000000f08b4e2c",
        ];
        assert_eq!(written, theirs);
    }

    #[test]
    fn reading_ends_where_a_file_is_cut_or_damaged() {
        let loss = |step| scalar(step, Value { tag: "a".into(), simple_value: Some(0.5) });
        let whole = [framed(&loss(1)), framed(&loss(2))].concat();
        assert_eq!(events(&whole), [loss(1), loss(2)]);
        let half = whole.len() / 2;
        for at in half..whole.len() {
            assert_eq!(events(&whole[..at]), [loss(1)], "cut at {at}");
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert_eq!(events(&damaged), [loss(1)], "flipped at {at}");
        }
    }
}
