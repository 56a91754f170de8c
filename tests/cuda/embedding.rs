use lottery::ops::{
    cuda::{Buffer, Format, embedding},
    embedding as cpu,
};

use crate::support::{assert_close, empty, numbers, on_device, on_devices, rounded, values};

/// Tokens' rows as a step has them: words of which some are frequent, positions, and two segments.
fn rows(t: usize, words: usize) -> [Vec<u32>; 3] {
    [
        (0..t).map(|i| if i % 3 == 0 { 1 } else { (i * 37 % words) as u32 }).collect(),
        (0..t).map(|i| (i % 50) as u32).collect(),
        (0..t).map(|i| u32::from(i % 50 > 20)).collect(),
    ]
}

#[test]
fn tables_rows_are_summed_as_on_the_cpu() {
    on_devices("embedding", |gpu, format| {
        for (t, h) in [(0, 8), (1, 1), (7, 5), (30, 16), (51, 130), (9, 768)] {
            let rows = rows(t, 90);
            let tables = [(90, 1), (50, 2), (2, 3)].map(|(n, seed)| numbers(n * h, seed, Format::F32));
            let mut expected = vec![0.0; t * h];
            let lookup = |i: usize| cpu::Lookup { table: &tables[i], rows: &rows[i] };
            if t > 0 {
                cpu::forward(&[lookup(0), lookup(1), lookup(2)], h, &mut expected);
            }
            expected.iter_mut().for_each(|v| *v = rounded(*v, format));
            let on_tables = tables.each_ref().map(|table| on_device(gpu, table, Format::F32).unwrap());
            let on_rows = [0; 3].map(|_| Buffer::new(gpu));
            on_rows.iter().zip(&rows).for_each(|(buffer, rows)| _ = buffer.upload(rows).unwrap());
            let out = empty(gpu, t * h, format)?;
            let addresses = |buffers: &[Buffer; 3]| buffers.each_ref().map(Buffer::address);
            let (tables, rows) = (addresses(&on_tables), addresses(&on_rows));
            embedding::forward(&**gpu, format, tables, rows, out.address(), t, h)?;
            assert_eq!(values(gpu, &out, t * h, format)?, expected, "{format:?} {t} x {h}");
        }
        Ok(())
    });
}

#[test]
fn gradients_return_to_the_rows_of_their_tokens_in_the_same_bits_each_time() {
    on_devices("embedding's gradient", |gpu, format| {
        // Used again for each, as from step to step.
        let [packed, scratch] = [(); 2].map(|()| Buffer::new(gpu));
        for (t, h) in [(300, 12), (0, 8), (1, 1), (64, 7), (65, 130), (1100, 20), (130, 768)] {
            let d = numbers(t * h, 1, format);
            let on_d = on_device(gpu, &d, format)?;
            for (rows, n) in rows(t, 90).iter().zip([90, 50, 2]) {
                let what = format!("{format:?} {t} x {h}, table of {n}");
                let table = numbers(n * h, 2, Format::F32);
                let mut expected = table.clone();
                cpu::backward(rows, &d, h, &mut expected);
                let (users, all) = embedding::Users::pack(rows);
                let users = users.at(packed.upload(&all)?);
                let mut found = Vec::new();
                for _ in 0..2 {
                    let on_table = on_device(gpu, &table, Format::F32)?;
                    let at = on_table.address();
                    embedding::backward(&**gpu, format, &users, on_d.address(), h, at, &scratch)?;
                    found.push(values(gpu, &on_table, n * h, Format::F32)?);
                }
                assert_eq!(found[0], found[1], "{what}");
                assert_close(&found[0], &expected, Format::F32, &what);
                for (row, old) in table.chunks(h).enumerate() {
                    if !rows.contains(&(row as u32)) {
                        assert_eq!(&found[0][row * h..][..h], old, "{what}: row {row}, of no token");
                    }
                }
            }
        }
        Ok(())
    });
}
