//! The fuzz targets of `fuzz_targets/`: each gives what libFuzzer makes up to one reader of `tests/mutation/readers.rs`, in
//! a folder that has the files beside it. `docs/ci.md` says how to run them.

#[path = "../../tests/mutation/meter.rs"]
pub mod meter;
#[path = "../../tests/mutation/random.rs"]
mod random;
#[path = "../../tests/mutation/readers.rs"]
mod readers;
#[path = "../../tests/mutation/seeds.rs"]
mod seeds;
pub mod targets;
#[path = "../../tests/mutation/told.rs"]
mod told;
#[path = "../../tests/mutation/world.rs"]
mod world;

/// What the readers call of the mutation test's harness.
mod harness {
    pub fn fault(kind: &str, detail: String) -> ! {
        panic!("{kind}: {detail}")
    }

    pub fn show(_: &str, _: &[u8]) {}
}

use random::Random;
use std::{fs, path::Path, sync::OnceLock};
use tempfile::TempDir;

/// One reader.
pub struct Target {
    pub name: &'static str,
    /// Writes the files beside the one that is fuzzed.
    pub set_up: fn(&Path),
    pub read: fn(&Path, &mut Random, &[u8]),
    /// What libFuzzer begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Writes the seeds into `corpus/<name>`, where libFuzzer looks for them.
    pub fn prepare(&self) {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(self.name);
        fs::create_dir_all(&dir).expect("a folder");
        for (number, seed) in (self.seeds)().into_iter().enumerate() {
            fs::write(dir.join(format!("seed-{number}")), seed).expect("a file");
        }
    }

    /// Reads one file. Too much memory ends the process, as a panic does.
    pub fn run(&self, file: &[u8]) {
        // A process has one target.
        static FOLDER: OnceLock<TempDir> = OnceLock::new();
        let folder = FOLDER.get_or_init(|| {
            let folder = world::folder();
            (self.set_up)(folder.path());
            folder
        });
        let mut random = Random::of(&blake3::hash(file).to_hex(), 0, 0);
        let base = meter::begin();
        (self.read)(folder.path(), &mut random, file);
        if let Some(bytes) = meter::too_much(base) {
            panic!("asked for {bytes} bytes of memory");
        }
    }
}

/// A program that fuzzes one of the [`targets`].
#[macro_export]
macro_rules! target {
    ($target:ident) => {
        #[global_allocator]
        static METER: $crate::meter::Meter = $crate::meter::Meter;

        libfuzzer_sys::fuzz_target!(
            init: $crate::targets::$target.prepare(),
            |file: &[u8]| $crate::targets::$target.run(file)
        );
    };
}
