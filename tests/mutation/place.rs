//! A store beside folders that are none of its business, and what became of those.

use super::{
    harness,
    random::Random,
    world::{self, Files, world},
};
use lottery::store::Store;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// Files that would be removed, or written, if they were the store's.
const VICTIMS: &[&str] = &[
    "keep.txt",
    "x.tokens",
    ".tmp-abc",
    "step-0000000001",
    "model.safetensors",
    "stage.json",
    "seed-1337.json",
    "run.json",
    "below/x.json",
    "below/.tmp-def",
];

/// Places in a store where somebody may have put a link; `stages` itself may be one.
const LINKS: &[&str] = &[
    "results",
    "locks",
    "cache",
    "sweeps",
    "events",
    "stages/{id}",
    "stages/{id}/checkpoint",
    "stages/{id}/model.safetensors",
    "stages/{id}/metrics.json",
    "stages/{id}/.tmp-x",
    "stages/{id}/stage.json",
    "stages/retrain-0123456789ab/checkpoint",
    "stages/retrain-0123456789ab/x",
    "stages/evaluate-ba9876543210",
    "cache/x.tokens",
    "cache/.tmp-x",
    "results/rte",
    "results/rte/.tmp-x",
    "results/rte/heads+ffns/good",
    "events/x.jsonl",
    "locks/run-0123456789ab",
    "locks/evaluate-ba9876543210",
    "sweeps/{sweep}",
    "sweeps/{sweep}/runs",
    "sweeps/{sweep}/live",
    "sweeps/{sweep}/configs",
    "sweeps/{sweep}/logs",
    "sweeps/{sweep}/slurm",
    "sweeps/{sweep}/.tmp-x",
    "sweeps/other",
];

pub struct Place {
    root: TempDir,
    store: PathBuf,
    victim: PathBuf,
    files: Files,
    /// As they were when they were last written.
    marks: BTreeMap<PathBuf, Mark>,
    outside: BTreeMap<PathBuf, Mark>,
    stages: Vec<String>,
}

/// What changes when a file is written, replaced or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    inode: u64,
    links: u64,
    size: u64,
    changed: (i64, i64),
}

impl Mark {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::symlink_metadata(path).ok()?;
        // A folder changes with its entries, and they are looked at themselves.
        let changed = if found.is_dir() { (0, 0) } else { (found.ctime(), found.ctime_nsec()) };
        let (links, size) = if found.is_dir() { (0, 0) } else { (found.nlink(), found.size()) };
        Some(Self { inode: found.ino(), links, size, changed })
    }
}

impl Place {
    /// The world's store, or that part of it.
    pub fn new(wanted: impl Fn(&Path) -> bool) -> Self {
        let root = world::folder();
        // So deep that no mutated path climbs out of the temporary folder.
        let deep = root.path().join("a/b/c/d/e/f/g/h/i/j/k/l");
        let (store, victim) = (deep.join("store"), deep.join("victim"));
        let files: Files = world()
            .store
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(n, b)| (n.clone(), b.clone()))
            .collect();
        for name in VICTIMS {
            let path = victim.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, "somebody's").expect("a file");
            let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
            File::options().write(true).open(&path).and_then(|f| f.set_modified(long_ago)).expect("a time");
        }
        let mut stages: Vec<String> = files.keys().filter_map(|name| stage_of(name)).collect();
        stages.dedup();
        let outside = BTreeMap::new();
        let mut place = Self { root, store, victim, files, marks: BTreeMap::new(), outside, stages };
        place.reset();
        place.outside = place.everything_outside();
        place
    }

    /// The store, unless it is refused for a link in the place of a folder.
    pub fn open(&self) -> Option<Store> {
        super::told(Store::open(&self.store))
    }

    pub fn dir(&self) -> &Path {
        &self.store
    }

    pub fn stages(&self) -> &[String] {
        &self.stages
    }

    /// Paths out of the store, for what is mutated.
    pub fn paths(&self) -> Vec<String> {
        let victim = self.victim.to_str().expect("a path in UTF-8");
        let mut paths = vec![victim.to_owned(), format!("{victim}/keep.txt")];
        let climbs = ["..", "../..", "../../..", "../../../.."].map(|up| format!("{up}/victim/keep.txt"));
        paths.extend(climbs);
        paths.extend(
            ["x/../../../victim/keep.txt", "../../../victim/run", "../x", "../../../y"].map(str::to_owned),
        );
        paths
    }

    /// Makes the store what it was at first.
    pub fn reset(&mut self) {
        let mut present = Vec::new();
        list(&self.store, &mut present);
        // Below first.
        for path in present.iter().rev() {
            let name = path.strip_prefix(&self.store).expect("it is below");
            let found = fs::symlink_metadata(path);
            if found.is_ok_and(|found| found.is_dir()) {
                // Folders that a store always has stay, empty ones too.
                let wanted = ["stages", "locks", "results"].iter().any(|room| Path::new(room) == name);
                if !wanted && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none()) {
                    let _ = fs::remove_dir(path);
                }
            } else if self.marks.get(name).is_none_or(|mark| Mark::of(path) != Some(*mark)) {
                fs::remove_file(path).expect("a file of the store can be removed");
                self.marks.remove(name);
            }
        }
        self.marks.retain(|name, _| self.store.join(name).symlink_metadata().is_ok());
        for room in ["stages", "locks", "results"] {
            fs::create_dir_all(self.store.join(room)).expect("a folder");
        }
        for (name, bytes) in &self.files {
            if self.marks.contains_key(name) {
                continue;
            }
            let path = self.store.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(&path, bytes).expect("a file");
            self.marks.insert(name.clone(), Mark::of(&path).expect("it was written"));
        }
    }

    /// Writes a file of the store that the next [`reset`](Self::reset) puts back.
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) {
        let path = self.store.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, bytes).expect("a file");
    }

    pub fn file(&self, name: impl AsRef<Path>) -> &[u8] {
        &self.files[name.as_ref()]
    }

    /// Puts a link to the outside into the store, in the place of whatever is there.
    pub fn plant_link(&self, random: &mut Random) {
        let nth = random.below(self.stages.len().max(1));
        let stage = self.stages.get(nth).map_or(world::UNFINISHED, String::as_str);
        let link = random.of_list(LINKS).replace("{id}", stage).replace("{sweep}", &world().sweep);
        let path = self.store.join(&link);
        // Never through a link: there is one at most.
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path).expect("a folder of the store"),
            Ok(_) => fs::remove_file(&path).expect("a file of the store"),
            Err(_) => {}
        }
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let to = match random.below(4) {
            0 => self.victim.join(random.of_list(VICTIMS)),
            1 => self.victim.join("missing"),
            _ => self.victim.clone(),
        };
        harness::show("link", format!("{link} -> {}", to.display()).as_bytes());
        symlink(to, path).expect("a link");
    }

    /// Panics when something outside the store is not as it was, and puts it back.
    pub fn check_outside(&mut self) {
        let now = self.everything_outside();
        if now == self.outside {
            return;
        }
        let gone: Vec<_> = self.outside.keys().filter(|path| !now.contains_key(*path)).collect();
        let new: Vec<_> = now.keys().filter(|path| !self.outside.contains_key(*path)).collect();
        let other: Vec<_> =
            self.outside.iter().filter(|(path, mark)| now.get(*path).is_some_and(|m| m != *mark)).collect();
        let names = |paths: Vec<&PathBuf>| {
            let name =
                |path: &PathBuf| path.strip_prefix(self.root.path()).unwrap_or(path).display().to_string();
            paths.iter().map(|path| name(path)).collect::<Vec<_>>().join(", ")
        };
        let kind = match (gone.is_empty(), new.is_empty(), other.is_empty()) {
            (false, _, _) => "removed",
            (_, _, false) => "changed",
            _ => "made",
        };
        let detail = format!(
            "gone: [{}], new: [{}], changed: [{}]",
            names(gone),
            names(new),
            names(other.into_iter().map(|(path, _)| path).collect())
        );
        let wanted =
            |path: &Path| world().store.keys().any(|name| name == path) && self.files.contains_key(path);
        *self = Self::new(wanted);
        harness::fault(&format!("outside the store something was {kind}"), detail);
    }

    fn everything_outside(&self) -> BTreeMap<PathBuf, Mark> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path == self.store {
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    folders.push(path.clone());
                }
                found.extend(Mark::of(&path).map(|mark| (path, mark)));
            }
        }
        found
    }
}

fn stage_of(name: &Path) -> Option<String> {
    let rest = name.strip_prefix("stages").ok()?;
    Some(rest.iter().next()?.to_string_lossy().into_owned())
}

/// Everything below, a folder before what is in it; links are not followed.
fn list(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&entry.path(), found);
        }
    }
}
