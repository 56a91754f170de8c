use super::*;
use crate::{ops::optimizer::Optimizer, train::Silent};

const OPTIMIZER: Optimizer =
    Optimizer::AdamW(AdamW { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.1 });

fn saved(seed: u32, len: usize) -> (Position, Vec<f32>, State) {
    let values = |k: u32| (0..len as u32).map(|i| f32::from_bits(i * 7 + k + seed)).collect::<Vec<_>>();
    let position = Position {
        step: u64::from(seed),
        tokens: 99,
        seconds: 0.1 + f64::from(seed),
        epoch_losses: vec![2.0 / 3.0],
        epoch_scores: Vec::new(),
        epoch_loss: 1e-300,
        epoch_predictions: 5,
        evaluations: vec![Evaluation {
            step: 3,
            predictions: 9,
            loss: 1.0 / 3.0,
            perplexity: 1.4,
            accuracy: 0.1,
        }],
        recent: Some(0.3),
        computed_by: vec!["0.1.0 avx2".into()],
    };
    let mut state = OPTIMIZER.state(len);
    state.slots_mut().iter_mut().zip(2..).for_each(|(slot, k)| slot.values = values(k));
    state.steps = seed;
    (position, values(1), state)
}

fn restored(checkpoints: &mut Checkpoints, len: usize) -> Option<(Position, Vec<f32>, State)> {
    let (mut weights, mut state) = (vec![0.0; len], OPTIMIZER.state(len));
    let fits = |position: &Position| position.step < 1000;
    let position = checkpoints.restore(&mut weights, &mut state, &fits, &mut Silent).unwrap()?;
    Some((position, weights, state))
}

#[test]
fn what_is_restored_is_what_was_saved_and_only_the_last_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("checkpoint");
    let mut checkpoints = Checkpoints::new(dir.clone(), Duration::ZERO);
    assert!(restored(&mut checkpoints, 3).is_none() && checkpoints.due());
    // More than one block of values, and an odd number of them.
    let len = (1 << 16) + 77;
    for step in [3, 12] {
        let (position, weights, state) = saved(step, len);
        checkpoints.save(&position, &weights, &state).unwrap();
        assert_eq!(restored(&mut checkpoints, len).unwrap(), (position, weights, state));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }
}

#[test]
fn a_damaged_checkpoint_is_passed_over_wherever_it_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path().to_owned(), Duration::ZERO);
    let (position, weights, state) = saved(5, 9);
    checkpoints.save(&position, &weights, &state).unwrap();
    let whole = fs::read(folder.path().join("step-0000000005")).unwrap();
    let newer = folder.path().join("step-0000000006");
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&newer, &bytes).unwrap();
        assert_eq!(restored(&mut checkpoints, 9).unwrap().0, position, "flipped at {at}");
        fs::write(&newer, &whole[..at]).unwrap();
        assert_eq!(restored(&mut checkpoints, 9).unwrap().0, position, "cut at {at}");
    }
    // A model of another size, whose checkpoint is whole.
    assert!(restored(&mut checkpoints, 10).is_none());
    // The next one removes the damaged one too.
    let (position, weights, state) = saved(6, 9);
    checkpoints.save(&position, &weights, &state).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(restored(&mut checkpoints, 9).unwrap().0, position);
}

#[test]
fn a_whole_checkpoint_of_an_impossible_position_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path().to_owned(), Duration::ZERO);
    type Change = fn(&mut Position);
    let changes: [Change; 5] = [
        |at| at.step = 1000,
        |at| at.seconds = -1.0,
        |at| at.seconds = 1e300,
        |at| at.tokens = u64::MAX,
        |at| at.epoch_predictions = u64::MAX,
    ];
    for change in changes {
        let (mut position, weights, state) = saved(5, 9);
        change(&mut position);
        checkpoints.save(&position, &weights, &state).unwrap();
        assert!(restored(&mut checkpoints, 9).is_none(), "{position:?}");
    }
    let at = |step, finished| Position { step, epoch_losses: vec![0.5; finished], ..Position::default() };
    for (step, finished) in [(0, 0), (1, 0), (20, 0), (20, 1), (39, 1), (60, 3), (60, 2)] {
        assert!(at(step, finished).is_of(60, 3, 20), "{step} after {finished} epochs");
    }
    for (step, finished) in [(61, 3), (21, 0), (19, 1), (0, 1), (80, 4), (u64::MAX, 0), (60, 4)] {
        assert!(!at(step, finished).is_of(60, 3, 20), "{step} after {finished} epochs");
    }
    assert!(!at(60, 2).is_of(60, 3, u64::MAX));
}

#[test]
fn a_checkpoint_from_before_slots_had_names_is_adamws_and_that_of_another_optimizer_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut checkpoints = Checkpoints::new(folder.path().to_owned(), Duration::ZERO);
    let whole = saved(5, 9);
    checkpoints.save(&whole.0, &whole.1, &whole.2).unwrap();
    let path = folder.path().join("step-0000000005");
    let file = fs::read(&path).unwrap();
    let (header, values) =
        file[16..file.len() - DIGEST as usize].split_at(file[8] as usize | (file[9] as usize) << 8);
    let named = r#","slots":["first_moment","second_moment"]}"#;
    let header = std::str::from_utf8(header).unwrap();
    for (slots, same) in [("}", true), (r#","slots":["momentum","second_moment"]}"#, false)] {
        let header = header.strip_suffix(named).unwrap().to_owned() + slots;
        let mut file = [MAGIC, &(header.len() as u64).to_le_bytes()[..], header.as_bytes(), values].concat();
        file.extend_from_slice(blake3::hash(&file).as_bytes());
        fs::write(&path, file).unwrap();
        assert_eq!(restored(&mut checkpoints, 9), same.then(|| whole.clone()));
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_but_checkpoints_and_nothing_behind_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, outside) = (folder.path().join("checkpoint"), folder.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    for name in ["step-0000000001", "thesis.tex", ".tmp-x"] {
        fs::write(outside.join(name), "precious").unwrap();
    }
    std::os::unix::fs::symlink(&outside, &dir).unwrap();
    let mut checkpoints = Checkpoints::new(dir.clone(), Duration::ZERO);
    assert!(restored(&mut checkpoints, 9).is_none());
    let (position, weights, state) = saved(5, 9);
    checkpoints.save(&position, &weights, &state).unwrap();
    assert!(fs::symlink_metadata(&dir).unwrap().is_dir());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 3);

    // A pipe is damage, and what nobody here has written stays.
    let pipe = dir.join("step-0000000009");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o666.into(), 0).unwrap();
    fs::write(dir.join("notes"), "").unwrap();
    assert_eq!(restored(&mut checkpoints, 9).unwrap().0, position);
    let (position, weights, state) = saved(6, 9);
    checkpoints.save(&position, &weights, &state).unwrap();
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["notes", "step-0000000006"]);
}

#[test]
fn slow_writing_lengthens_the_pause() {
    let mut checkpoints = Checkpoints::new(PathBuf::new(), Duration::from_secs(1));
    checkpoints.last = Instant::now() - Duration::from_secs(2);
    assert!(checkpoints.due());
    checkpoints.cost = Duration::from_secs(1);
    assert!(!checkpoints.due());
}

#[test]
fn the_weights_of_the_best_epoch_are_kept_beside_the_last_ones() {
    let folder = tempfile::tempdir().unwrap();
    let of_folder = || Checkpoints::new(folder.path().to_owned(), Duration::ZERO);
    let (mut position, weights, state) = saved(5, 9);
    assert!(position.has_scores(false) && !position.has_scores(true));
    position.epoch_scores = vec![0.5];
    assert!(position.has_scores(true) && !position.has_scores(false));
    let (mut checkpoints, mut again) = (of_folder(), of_folder());
    checkpoints.best = (0..9).map(|i| i as f32 + 0.5).collect();
    checkpoints.save(&position, &weights, &state).unwrap();
    assert_eq!(restored(&mut again, 9).unwrap(), (position, weights, state));
    assert_eq!(again.best, checkpoints.best);
    // Without scores there is no best epoch, and the file has no room for it.
    let (position, weights, state) = saved(6, 9);
    checkpoints.save(&position, &weights, &state).unwrap();
    assert_eq!(restored(&mut again, 9).unwrap(), (position, weights, state));
    assert!(again.best.is_empty());
}
