use lottery::ops::cuda::{Buffer, rows};

use crate::support::{empty, numbers, on_device, on_devices, rounded, values};

#[test]
fn rows_are_gathered_and_added_back() {
    on_devices("rows", |gpu, format| {
        let cases: [(usize, usize, Vec<u32>); 6] = [
            (3, 1, vec![2]),
            (5, 7, vec![]),
            (9, 12, vec![4, 0, 8, 3, 7]),
            (6, 130, vec![5, 4, 3, 2, 1, 0]),
            (4, 768, vec![3, 1]),
            (2, 1028, vec![1]),
        ];
        for (t, h, named) in cases {
            let what = format!("{format:?} {t} x {h} {named:?}");
            let (x, n) = (numbers(t * h, 1, format), named.len());
            let (on_x, on_rows) = (on_device(gpu, &x, format)?, Buffer::new(gpu));
            on_rows.upload(&named)?;
            let out = empty(gpu, n * h, format)?;
            rows::gather(&**gpu, format, on_x.address(), on_rows.address(), n, h, out.address())?;
            let expected: Vec<f32> =
                named.iter().flat_map(|row| x[*row as usize * h..][..h].to_vec()).collect();
            assert_eq!(values(gpu, &out, n * h, format)?, expected, "{what}");

            let d = numbers(n * h, 2, format);
            let on_d = on_device(gpu, &d, format)?;
            rows::scatter_add(&**gpu, format, on_d.address(), on_rows.address(), n, h, on_x.address())?;
            let mut expected = x;
            for (row, d) in named.iter().zip(d.chunks(h)) {
                let to = &mut expected[*row as usize * h..][..h];
                to.iter_mut().zip(d).for_each(|(to, d)| *to = rounded(*to + d, format));
            }
            assert_eq!(values(gpu, &on_x, t * h, format)?, expected, "{what}");
        }
        Ok(())
    });
}

#[test]
fn a_row_may_be_gathered_more_than_once() {
    on_devices("a row twice", |gpu, format| {
        let x = numbers(3 * 8, 1, format);
        let (on_x, on_rows) = (on_device(gpu, &x, format)?, Buffer::new(gpu));
        on_rows.upload(&[2u32, 2, 0])?;
        let out = empty(gpu, 3 * 8, format)?;
        rows::gather(&**gpu, format, on_x.address(), on_rows.address(), 3, 8, out.address())?;
        assert_eq!(values(gpu, &out, 24, format)?, [&x[16..], &x[16..], &x[..8]].concat());
        Ok(())
    });
}
