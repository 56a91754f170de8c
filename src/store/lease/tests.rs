use super::*;
use std::sync::atomic::AtomicUsize;

const PATIENCE: Duration = Duration::from_millis(300);

/// A lock as this machine sees it: of the others' system locks it knows nothing.
fn on(machine: &str, dir: &Path) -> Lock {
    Lock::of(&dir.join(machine), dir.join("lock.lease"), machine, PATIENCE)
}

fn wait(lock: &mut Lock, within: Duration) -> Option<Lease> {
    let began = Instant::now();
    while began.elapsed() < within {
        if let Some(lease) = lock.take().unwrap() {
            return Some(lease);
        }
        thread::sleep(Duration::from_millis(10));
    }
    None
}

/// What SIGKILL leaves: no beats, the lease as it was.
fn die(mut lease: Lease) {
    drop(lease.stop.take());
    lease.beats.take().unwrap().join().unwrap();
    lease.path = PathBuf::new();
}

#[test]
fn another_machine_waits_while_the_holder_lives_and_has_the_lock_when_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let held = on("a", folder.path()).take().unwrap().unwrap();
    let mut other = on("b", folder.path());
    assert!(wait(&mut other, PATIENCE * 4).is_none(), "taken from a living holder");
    held.check().unwrap();
    drop(held);
    assert!(other.take().unwrap().is_some());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "more than the two lock files is left");
}

#[test]
fn a_dead_holder_is_succeeded_at_once_on_its_machine_and_after_a_while_on_another() {
    let folder = tempfile::tempdir().unwrap();
    die(on("a", folder.path()).take().unwrap().unwrap());
    let again = on("a", folder.path()).take().unwrap().unwrap();
    die(again);
    let began = Instant::now();
    let mut other = on("b", folder.path());
    let taken = wait(&mut other, PATIENCE * 10).expect("never taken over");
    assert!(began.elapsed() >= PATIENCE);
    taken.check().unwrap();
}

#[test]
fn a_half_written_lease_is_succeeded_like_a_dead_holder() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "{\"host\": \"x", "null"] {
        fs::write(folder.path().join("lock.lease"), text).unwrap();
        assert!(wait(&mut on("a", folder.path()), PATIENCE * 10).is_some(), "{text}");
    }
}

/// Names of tokens are made of a holder's name.
#[test]
fn a_lease_that_names_a_path_is_none_and_touches_nothing_outside() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("locks");
    fs::create_dir(&dir).unwrap();
    let victim = folder.path().join("victim-0");
    fs::write(&victim, "precious").unwrap();
    for name in ["/../../victim", "x/../../victim", "../victim", "a/b", "a\\\\b", "", "."] {
        let lease =
            format!(r#"{{"host":"h","process":1,"machine":"m","name":"{name}","patience":0.0,"beat":0}}"#);
        assert!(serde_json::from_str::<Holder>(&lease).is_err(), "{name}");
        fs::write(dir.join("lock.lease"), &lease).unwrap();
        assert!(wait(&mut on("a", &dir), PATIENCE * 10).is_some(), "{name}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn whatever_patience_a_lease_asks_for_it_is_a_day_at_most() {
    for (asked, seconds) in [("-1", 0.0), ("1e300", LONGEST_PATIENCE), ("7.5", 7.5)] {
        let lease = format!(
            r#"{{"host":"h","process":1,"machine":"m","name":"n","patience":{asked},"beat":18446744073709551615}}"#
        );
        let holder: Holder = serde_json::from_str(&lease).unwrap();
        assert_eq!(holder.patience().as_secs_f64(), seconds);
        holder.lives_elsewhere(Path::new("none"));
    }
}

#[cfg(unix)]
#[test]
fn what_cannot_be_a_lease_is_named_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let lease = folder.path().join("lock.lease");
    rustix::fs::mknodat(rustix::fs::CWD, &lease, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    let refused = |what: &str| {
        let error = on("a", folder.path()).take().unwrap_err();
        assert!(error.exit_code() == 3 && error.to_string().contains("lock.lease"), "{what}: {error}");
        assert!(!is_held(&folder.path().join("lock")));
        fs::remove_file(&lease).unwrap();
    };
    refused("a pipe");
    std::os::unix::fs::symlink(folder.path().join("none"), &lease).unwrap();
    refused("a dangling link");
    fs::write(&lease, vec![b' '; LONGEST_LEASE as usize + 1]).unwrap();
    refused("a large file");
    // A lock is no link either: another's file would be locked, or made.
    fs::remove_file(folder.path().join("a")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("made"), folder.path().join("a")).unwrap();
    let error = on("a", folder.path()).take().unwrap_err();
    assert!(error.exit_code() == 3 && !folder.path().join("made").exists(), "{error}");
}

#[test]
fn whoever_slept_too_long_is_told_that_its_lock_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut sleeper = on("a", folder.path()).take().unwrap().unwrap();
    drop(sleeper.stop.take());
    let taken = wait(&mut on("b", folder.path()), PATIENCE * 10).unwrap();
    let error = sleeper.check().unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("took over"), "{error}");
    // Nor does it take the successor's lease with it.
    drop(sleeper);
    taken.check().unwrap();
    assert!(folder.path().join("lock.lease").exists());
}

#[test]
fn of_many_machines_that_saw_the_holder_die_one_at_a_time_has_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    die(on("first", folder.path()).take().unwrap().unwrap());
    // As if somebody had died while taking over, besides.
    let dead: Holder = serde_json::from_slice(&fs::read(folder.path().join("lock.lease")).unwrap()).unwrap();
    fs::write(folder.path().join(format!("lock.after-{}-0", dead.name)), "").unwrap();
    let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for n in 0..8 {
            let (inside, turns, folder) = (&inside, &turns, &folder);
            scope.spawn(move || {
                let mut lock = on(&format!("m{n}"), folder.path());
                let lease = wait(&mut lock, Duration::from_secs(60)).expect("never had it");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two at once");
                thread::sleep(PATIENCE / 10);
                lease.check().unwrap();
                inside.fetch_sub(1, Ordering::SeqCst);
                turns.fetch_add(1, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(turns.into_inner(), 8);
}
