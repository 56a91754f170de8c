use super::*;
use half::{bf16, f16};
use serde_json::Value as Json;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/torch").join(name)
}

fn all(file: &TorchFile) -> (String, HashMap<String, Vec<u8>>) {
    let mut tensors = HashMap::new();
    let mut take = |name: &str, data: &[u8]| {
        tensors.insert(name.to_owned(), data.to_vec());
        Ok(())
    };
    (file.read(&|_| true, &mut take).unwrap(), tensors)
}

#[test]
fn files_of_every_form_hold_what_pytorch_wrote() {
    let text = std::fs::read_to_string(golden("torch.json")).unwrap();
    let values: Json = serde_json::from_str(&text).unwrap();
    let theirs = values["tensors"].as_object().unwrap();
    for name in ["zip.bin", "legacy.bin", "protocol4.bin"] {
        let file = TorchFile::open(&golden(name)).unwrap();
        let (sha256, tensors) = all(&file);
        assert_eq!(all(&file), (sha256.clone(), tensors.clone()));
        let infos: HashMap<_, _> = file.infos().map(|(name, dtype, shape)| (name, (dtype, shape))).collect();
        assert_eq!(sha256, format!("{:x}", Sha256::digest(std::fs::read(golden(name)).unwrap())));
        assert_eq!(tensors.len(), theirs.len(), "{name}");
        for (tensor, wanted) in theirs {
            let (bytes, (dtype, found)) = (&tensors[tensor], infos[tensor.as_str()]);
            let shape: Vec<usize> = serde_json::from_value(wanted["shape"].clone()).unwrap();
            assert_eq!(found, shape, "{name} {tensor}");
            let wanted: Vec<f64> = serde_json::from_value(wanted["values"].clone()).unwrap();
            let numbers: Vec<f64> = match dtype {
                Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
                Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b).into()).collect(),
                Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).into()).collect(),
                Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).into()).collect(),
                Dtype::I64 => bytes.as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect(),
                other => panic!("{other}"),
            };
            assert_eq!(numbers, wanted, "{name} {tensor}");
        }
    }
}

#[test]
fn a_file_that_would_run_code_is_refused_and_runs_none() {
    for name in ["code.bin", "code-legacy.bin"] {
        let error = TorchFile::open(&golden(name)).unwrap_err();
        let text = error.to_string();
        assert!(error.exit_code() == 3 && text.contains("asks to call posix.system"), "{text}");
    }
    assert!(!Path::new("executed").exists());
    let text = TorchFile::open(&golden("checkpoint.bin")).unwrap_err().to_string();
    assert!(text.contains("no tensors by name, but \"model\" and 1 more"), "{text}");
}

/// Pickles of these parts.
fn number(n: u64) -> Vec<u8> {
    [&b"\x8a\x09"[..], &n.to_le_bytes(), b"\0"].concat()
}

fn int(n: u64) -> Vec<u8> {
    if n < 256 { vec![b'K', n as u8] } else { [&b"\x8a\x08"[..], &n.to_le_bytes()].concat() }
}

fn tuple(items: &[u64]) -> Vec<u8> {
    [&b"("[..], &items.iter().flat_map(|n| int(*n)).collect::<Vec<_>>(), b"t"].concat()
}

/// A file of the older form with one tensor "a" over a storage of f32.
fn legacy(len: u64, offset: u64, shape: &[u64], strides: &[u64], data: usize) -> Vec<u8> {
    let start = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}X\r\0\0\0little_endian\x88s.";
    let storage =
        [&b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"[..], &int(len), b"NtQ"]
            .concat();
    let tensor = [
        &b"\x80\x02}X\x01\0\0\0actorch._utils\n_rebuild_tensor_v2\n("[..],
        &storage,
        &int(offset),
        &tuple(shape),
        &tuple(strides),
        b"\x89Nt",
        b"Rs.",
    ]
    .concat();
    let keys = b"\x80\x02]X\x01\0\0\x000a.";
    [&start[..], &tensor, keys, &len.to_le_bytes(), &vec![0; data]].concat()
}

fn open(bytes: &[u8]) -> Result<TorchFile> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pytorch_model.bin");
    std::fs::write(&path, bytes).unwrap();
    TorchFile::open(&path)
}

#[test]
fn descriptions_that_do_not_fit_the_data_are_refused_at_once() {
    let file = open(&legacy(6, 0, &[2, 3], &[3, 1], 24)).unwrap();
    assert_eq!(file.infos().collect::<Vec<_>>(), [("a", Dtype::F32, &[2, 3][..])]);
    let huge = 25_000_000_000;
    for (what, bytes, why) in [
        ("100 GB of elements", legacy(huge, 0, &[huge], &[1], 24), "longer than the file"),
        ("more than a u64 holds", legacy(u64::MAX >> 1, 0, &[6], &[1], 24), "longer than the file"),
        ("a cut file", legacy(6, 0, &[2, 3], &[3, 1], 20), "longer than the file"),
        ("a shape beyond the storage", legacy(6, 0, &[2, 4], &[4, 1], 24), "leaves its storage"),
        ("an offset beyond the storage", legacy(6, 1, &[2, 3], &[3, 1], 24), "leaves its storage"),
        ("a stride beyond the storage", legacy(6, 0, &[2, 3], &[4, 1], 24), "leaves its storage"),
        ("one element many times", legacy(6, 0, &[huge, 3], &[0, 1], 24), "leaves its storage"),
        ("a product that overflows", legacy(6, 0, &[1 << 62, 1 << 62], &[0, 0], 24), "leaves its storage"),
        ("strides for another shape", legacy(6, 0, &[2, 3], &[1], 24), "description is damaged"),
    ] {
        let error = open(&bytes).expect_err(what).to_string();
        assert!(error.contains(why), "{what}: {error}");
    }
    let negative = [&number(3)[..], b"."].concat();
    assert!(
        matches!(Pickle::read(&mut &negative[..]), Ok(pickle) if matches!(pickle.get(pickle.root), Value::Long(_)))
    );
}

#[test]
fn damaged_archives_are_refused() {
    let whole = std::fs::read(golden("zip.bin")).unwrap();
    let directory = whole.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    // The record for large files, which torch.save always writes.
    let end = whole.windows(4).rposition(|w| w == b"PK\x06\x06").unwrap();
    let changed = |at: usize, bytes: &[u8]| {
        let mut copy = whole.clone();
        copy[at..at + bytes.len()].copy_from_slice(bytes);
        open(&copy).expect_err("a change").to_string()
    };
    for (error, why) in [
        (open(&whole[..whole.len() - 1]).unwrap_err().to_string(), "its end is missing"),
        (open(&whole[..whole.len() / 2]).unwrap_err().to_string(), "its end is missing"),
        (open(b"").unwrap_err().to_string(), "it is empty"),
        (open(b"no weights").unwrap_err().to_string(), "begins as no file of torch.save"),
        (open(b"version https://git-lfs.github.com/spec/v1\n").unwrap_err().to_string(), "Git LFS pointer"),
        (changed(directory, b"XX"), "directory is damaged"),
        (changed(directory + 10, &[8, 0]), "compressed or encrypted"),
        (changed(directory + 24, &[0xf0; 4]), "compressed or encrypted"),
        (changed(directory + 20, &[0xf0; 8]), "more than are there"),
        (changed(directory + 42, &[0xf0; 4]), "begin behind its end"),
        (changed(end + 40, &[0xf0; 8]), "directory would be"),
        (changed(end, b"XX"), "its end is damaged"),
    ] {
        assert!(error.contains(why), "{why}: {error}");
    }
}
