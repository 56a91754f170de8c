use super::*;
use safetensors::Dtype;

fn read(bytes: &[u8]) -> Result<Value, String> {
    Pickle::read(&mut &bytes[..]).map(|pickle| pickle.get(pickle.root).clone())
}

#[test]
fn plain_values_are_read() {
    assert_eq!(read(b"\x80\x02K\x07."), Ok(Value::Int(7)));
    assert_eq!(read(b"\x80\x02J\xff\xff\xff\xff."), Ok(Value::Int(-1)));
    assert_eq!(read(b"\x80\x02\x8a\x02\x00\xff."), Ok(Value::Int(-256)));
    assert_eq!(read(b"\x80\x02\x8a\x00."), Ok(Value::Int(0)));
    assert_eq!(read(b"\x80\x04\x95\0\0\0\0\0\0\0\0\x8c\x02ab\x94."), Ok(Value::Text("ab".into())));
    assert_eq!(read(b"\x80\x02U\x02ab."), Ok(Value::Text("ab".into())));
    // {"a": (1, None)}, the key from the memo
    let bytes = b"\x80\x02X\x01\0\0\0aq\0}(h\0K\x01N\x86u.";
    let pickle = Pickle::read(&mut &bytes[..]).unwrap();
    let Value::Dict(items) = pickle.get(pickle.root) else { panic!() };
    let [(key, value)] = items[..] else { panic!() };
    assert_eq!(*pickle.get(key), Value::Text("a".into()));
    let Value::Tuple(items) = pickle.get(value) else { panic!() };
    assert_eq!([pickle.get(items[0]), pickle.get(items[1])], [&Value::Int(1), &Value::None]);
}

#[test]
fn nothing_but_tensors_and_dictionaries_is_called() {
    for call in [
        &b"\x80\x02cposix\nsystem\nX\x02\0\0\0ls\x85R."[..],
        b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
        b"\x80\x02ctorch._utils\n_rebuild_qtensor\n.",
        b"\x80\x02ctorch\nQInt8Storage\n.",
        b"\x80\x02c__builtin__\ngetattr\n.",
    ] {
        let why = read(call).unwrap_err();
        assert!(why.contains("asks to call") && why.contains("runs no code"), "{why}");
    }
    // Instructions that make objects in other ways.
    for bytes in [&b"\x80\x02cposix\nsystem\n)\x81."[..], b"\x80\x02(S'a'\nios\nsystem\n.", b"\x80\x02}Ib."] {
        assert!(read(bytes).is_err());
    }
    let why = read(b"\x80\x02ccollections\nOrderedDict\n(K\x01\x85tR.").unwrap_err();
    assert!(why.contains("arguments that it does not take"), "{why}");
}

#[test]
fn a_storage_is_named_by_five_values_or_six() {
    for end in [&b"tQ."[..], b"NtQ."] {
        let bytes = [&b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x010NK\x06"[..], end].concat();
        let storage = StorageRef { key: "0".into(), dtype: Dtype::F32, len: 6 };
        assert_eq!(read(&bytes), Ok(Value::Storage(storage)));
    }
}

#[test]
fn damaged_pickles_are_refused() {
    for (bytes, why) in [
        (&b""[..], "ends too early"),
        (b"\x80\x02", "ends too early"),
        (b"\x80\x01.", "version 1"),
        (b"\x80\x02.", "where there is none"),
        (b"\x80\x02a.", "where there is none"),
        (b"\x80\x02(\x85.", "where there is none"),
        (b"\x80\x02K\x01u.", "takes a mark"),
        (b"\x80\x02K\x01K\x02a.", "no list"),
        (b"\x80\x02}(K\x01u.", "no dictionary"),
        (b"\x80\x02]}b.", "no dictionary"),
        (b"\x80\x02h\x07.", "has not kept"),
        (b"\x80\x02K\x01Q.", "no storage"),
        (b"\x80\x02(U\x07storagectorch\nFloatStorage\nU\x010NK\x06K\x01tQ.", "no storage"),
        (b"\x80\x02K\x01)R.", "cannot be called"),
        (b"\x80\x02X\x01\0\0\0\xff.", "not UTF-8"),
        (b"\x80\x02X\x05\0\0\0ab", "within a text"),
        (b"\x80\x02X\xff\xff\xff\xffab", "text of 4294967295 bytes"),
    ] {
        let found = read(bytes).expect_err(why);
        assert!(found.contains(why), "{why}: {found}");
    }
}

#[test]
fn neither_depth_nor_sharing_nor_length_costs_more_than_the_file() {
    let deep = [&b"\x80\x02N"[..], &vec![0x85; 500_000], b"."].concat();
    assert!(matches!(read(&deep), Ok(Value::Tuple(_))));
    // Each tuple has the one before it twice.
    let shared: Vec<u8> = (0..60).flat_map(|_| *b"q\0h\0\x86").collect();
    assert!(matches!(read(&[&b"\x80\x02N"[..], &shared, b"."].concat()), Ok(Value::Tuple(_))));
    // A list in itself.
    assert!(matches!(read(b"\x80\x02]q\0h\0a."), Ok(Value::List(_))));
    for (byte, what) in [(b'N', "values"), (b'(', "marks")] {
        let why = read(&[&b"\x80\x02"[..], &vec![byte; MOST_VALUES + 1]].concat()).unwrap_err();
        assert!(why.contains("more than") && why.contains(what), "{why}");
    }
}
