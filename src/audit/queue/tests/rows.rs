//! One behaviour each.

use super::world::{Answer, Op, SLOTS, World, settings};
use crate::audit::queue::slot::SLOT_BYTES;
use crate::audit::queue::*;

pub(super) const FULL: u64 = SLOTS as u64;

/// Everything that an instance's queue counts.
pub(super) fn counters(world: &World, who: usize) -> Counters {
    world.with_member(who, |member| member.queue.counters()).unwrap()
}

pub(super) fn notices(world: &World, who: usize) -> Vec<String> {
    let notices = world.with_member(who, |member| member.queue.notices()).unwrap();
    notices.into_iter().map(|notice| notice.text).collect()
}

pub(super) fn has_room(world: &World, who: usize) -> bool {
    world.with_member(who, |member| member.queue.has_room()).unwrap()
}

pub(super) fn hurries(world: &World, who: usize) -> bool {
    world.with_member(who, |member| member.queue.hurries()).unwrap()
}

pub(super) fn wait(world: &World, millis: u64) {
    world.run(&Op::Wait(millis));
}

/// How often each line arrived, by its name without the filling.
pub(super) fn arrived(world: &World) -> Vec<(String, usize)> {
    let name = |line: &str| line.trim_end_matches(['x', '-']).to_owned();
    world.arrived.borrow().iter().map(|(line, times)| (name(line), *times)).collect()
}

pub(super) fn once(names: &[&str]) -> Vec<(String, usize)> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

/// Ticks one instance every half second for so long, every call of it succeeds.
pub(super) fn serve(world: &World, who: usize, seconds: u64) {
    for _ in 0..seconds * 2 {
        wait(world, 500);
        world.tick(who);
        while world.calls(who) > 0 {
            world.answer(who, Answer::Sent);
        }
    }
}

/// Fills so many slots, each with a line that leaves no room for another.
pub(super) fn fill(world: &World, who: usize, slots: u64) {
    for slot in 0..slots {
        assert_eq!(world.push(who, SLOT_BYTES - 100), Some(Stored::Done), "slot {slot}");
    }
}

#[test]
fn a_line_is_sent_when_its_slot_is_old_enough() {
    let world = World::of(1);
    assert_eq!(world.push(0, 5), Some(Stored::Done));
    assert_eq!(world.push(0, 5), Some(Stored::Done));
    wait(&world, 500);
    assert_eq!(world.tick(0), 0, "half a second old");
    wait(&world, 500);
    assert_eq!(world.tick(0), 1);
    assert_eq!(counters(&world, 0).oldest, Some(Duration::from_secs(1)));
    world.answer(0, Answer::Sent);
    assert_eq!(arrived(&world), once(&["0-1", "0-2"]));
    assert_eq!(world.in_use(), 0);
    let expected = Counters { queued: 2, sent: 2, capacity: FULL, ..Counters::default() };
    assert_eq!(counters(&world, 0), expected);
    assert_eq!(world.value("slot/0").len(), slot::LABEL, "its memory is free");
}

/// Ticks everybody each half second for so long; calls end as said.
fn let_all_try(world: &World, seconds: u64, answers: [Answer; 2]) {
    for half in 0..seconds * 2 {
        wait(world, 500);
        for (who, answer) in answers.into_iter().enumerate() {
            world.tick(who);
            while world.calls(who) > 0 {
                world.answer(who, answer);
            }
        }
        let known = [0, 1].map(|who| counters(world, who).oldest);
        let waits = half > 1 && world.in_use() > 0;
        assert!(!waits || known.iter().any(Option::is_some), "nobody knows how old: {half}");
    }
}

#[test]
fn who_fails_again_and_again_lets_others_try() {
    let world = World::of(2);
    assert_eq!(world.push(0, 5), Some(Stored::Done));
    let_all_try(&world, 10, [Answer::Failed { arrived: false }, Answer::Sent]);
    assert_eq!(arrived(&world), once(&["0-1"]));
    assert_eq!((counters(&world, 0).retried, counters(&world, 1).sent), (3, 1));
}

#[test]
fn where_everybody_fails_all_try_ever_more_seldom() {
    let world = World::of(2);
    assert_eq!(world.push(0, 5), Some(Stored::Done));
    let_all_try(&world, 600, [Answer::Failed { arrived: false }; 2]);
    for who in 0..2 {
        let retried = counters(&world, who).retried;
        assert!((10..20).contains(&retried), "{who}: {retried}");
    }
    let_all_try(&world, 61, [Answer::Sent; 2]);
    assert_eq!(arrived(&world), once(&["0-1"]));
}

#[test]
fn a_batch_is_its_lines_each_ended() {
    let batch = Batch { id: BatchId(1), text: "a\nb c\n".to_owned() };
    assert_eq!(batch.lines().collect::<Vec<_>>(), ["a", "b c"]);
    assert_eq!(batch.text(), "a\nb c\n");
    assert_eq!(batch.into_text(), "a\nb c\n");
}

#[test]
fn a_line_costs_one_write_and_no_read_while_its_slot_has_room() {
    let world = World::of(1);
    let _ = world.push(0, 700);
    let (reads, writes) = (world.reads.get(), world.writes.get());
    for _ in 0..20 {
        let _ = world.push(0, 700);
        wait(&world, 30);
    }
    assert_eq!((world.reads.get() - reads, world.writes.get() - writes), (0, 20));
}

#[test]
fn slots_hold_up_to_16_kib_and_a_longer_line_has_one_to_itself() {
    // Lengths of lines, with their names of six bytes and their ends; slots they take.
    let most = SLOT_BYTES - slot::LABEL;
    let cases: [(&[usize], u64); 6] = [
        (&[most], 1),
        (&[most - 100, 100], 1),
        (&[most - 100, 101], 2),
        (&[100_000], 1),
        (&[100, 100_000, 100], 3),
        (&[100_000, 100_000], 2),
    ];
    for (lengths, slots) in cases {
        let world = World::of(1);
        for length in lengths {
            let filling = length - "0-1-".len() - 1;
            assert_eq!(world.push(0, filling), Some(Stored::Done), "{lengths:?}");
        }
        assert_eq!(world.in_use(), slots, "{lengths:?}");
        serve(&world, 0, 3);
        world.check_ledger();
        assert_eq!(world.arrived.borrow().len(), lengths.len(), "{lengths:?}");
    }
}

#[test]
fn batches_are_as_large_and_as_many_as_configured_and_the_rest_hurries() {
    let world = World::of(1);
    fill(&world, 0, 7);
    world.tick(0);
    assert_eq!(world.calls(0), 2, "two slots each, two at a time");
    assert!(!hurries(&world, 0), "as many as may be are under way");
    world.answer(0, Answer::Sent);
    assert!(hurries(&world, 0));
    assert_eq!(world.tick(0), 1);
    world.answer(0, Answer::Sent);
    world.answer(0, Answer::Sent);
    assert!(hurries(&world, 0));
    assert_eq!(world.tick(0), 0, "the last slot is open");
    assert!(!hurries(&world, 0));
    assert_eq!((world.in_use(), counters(&world, 0).sent), (1, 6));
}

#[test]
fn a_batch_that_failed_is_sent_again_after_delays_that_grow_one_at_a_time() {
    let world = World::of(1);
    fill(&world, 0, 5);
    assert_eq!(world.tick(0), 2);
    world.answer(0, Answer::Failed { arrived: false });
    world.answer(0, Answer::Failed { arrived: true });
    assert!(!hurries(&world, 0));
    for (failure, delay) in [1_000, 2_000, 4_000, 8_000].into_iter().enumerate() {
        wait(&world, delay * 7 / 8 - 10);
        assert_eq!(world.tick(0), 0, "failure {failure}");
        wait(&world, delay / 8 + 10);
        assert_eq!(world.tick(0), 1, "failure {failure}: one tries");
        world.answer(0, Answer::Failed { arrived: false });
    }
    assert_eq!(counters(&world, 0).retried, 4 + 4 * 2);
    wait(&world, 16_000);
    world.tick(0);
    world.answer(0, Answer::Sent);
    assert!(world.settle(10));
    let twice = [("0-1", 1), ("0-2", 1), ("0-3", 2), ("0-4", 2), ("0-5", 1)];
    assert_eq!(arrived(&world), twice.map(|(name, times)| (name.to_owned(), times)));
}

#[test]
fn a_batch_that_is_rejected_comes_back_and_is_forgotten() {
    let world = World::of(1);
    fill(&world, 0, 2);
    wait(&world, 1_000);
    world.tick(0);
    world.answer(0, Answer::Rejected);
    assert_eq!(world.returned.borrow().len(), 2);
    assert_eq!((world.in_use(), world.calls(0), counters(&world, 0).rejected), (0, 0, 2));
    assert!(world.settle(3) && world.arrived.borrow().is_empty());
}

#[test]
fn a_batch_without_an_answer_is_sent_again() {
    let world = World::of(1);
    fill(&world, 0, 2);
    world.tick(0);
    world.answer(0, Answer::Never { arrived: false });
    wait(&world, 9_000);
    world.tick(0);
    assert_eq!(counters(&world, 0).retried, 0);
    assert!(world.settle(10));
    assert_eq!((arrived(&world), counters(&world, 0).retried), (once(&["0-1", "0-2"]), 1));
}

#[test]
fn one_instance_sends_for_all() {
    let world = World::of(4);
    (0..4).for_each(|who| world.run(&Op::Push(who, 5)));
    wait(&world, 1_000);
    let mut batches = Vec::new();
    for _ in 0..2 {
        batches.extend((0..4).map(|who| world.tick(who)));
    }
    assert_eq!(batches, [1, 0, 0, 0, 1, 0, 0, 0], "its own at once, then those closed since");
}

#[test]
fn lines_of_an_instance_that_vanished_are_sent_when_it_was_silent() {
    let world = World::of(2);
    let _ = world.push(0, 5);
    world.run(&Op::Die(0));
    serve(&world, 1, 5);
    assert_eq!(arrived(&world), []);
    serve(&world, 1, 1);
    assert_eq!(arrived(&world), once(&["0-1"]));
    assert_eq!(world.in_use(), 0);
}

#[test]
fn what_a_sender_that_vanished_had_under_way_is_sent_again_by_the_next() {
    let world = World::of(2);
    fill(&world, 0, 4);
    assert_eq!(world.tick(0), 2);
    world.answer(0, Answer::Sent);
    world.run(&Op::Die(0));
    wait(&world, 4_900);
    assert_eq!(world.tick(1), 0, "its term is not over");
    wait(&world, 100);
    assert_eq!(world.tick(1), 1);
    world.answer(1, Answer::Sent);
    assert!(world.settle(20));
    assert_eq!(arrived(&world), once(&["0-1", "0-2", "0-3", "0-4"]));
}

#[test]
fn an_instance_that_looked_dead_goes_on_in_another_slot() {
    for (lap, ticks) in [(false, false), (true, false), (false, true), (true, true)] {
        let world = World::of(2);
        let _ = world.push(0, 5);
        serve(&world, 1, 8);
        if lap {
            // Its slot has another's lines by now.
            (0..3).for_each(|_| {
                fill(&world, 1, 3);
                serve(&world, 1, 1);
            });
            fill(&world, 1, 6);
        }
        if ticks {
            world.tick(0);
        }
        let _ = world.push(0, 5);
        wait(&world, 3_000);
        world.tick(0);
        world.check_ledger_after(20);
        let once = world.arrived.borrow().values().all(|times| *times == 1);
        assert!(once, "lap {lap}, ticks {ticks}");
    }
}

#[test]
fn an_open_slot_shows_that_its_owner_lives_while_no_lines_come() {
    let world = World::with(2, QueueSettings { every: Duration::from_secs(60), ..settings() });
    let _ = world.push(0, 5);
    for half in 0..100 {
        wait(&world, 500);
        world.tick(0);
        assert_eq!(world.tick(1), 0, "{half} half seconds");
    }
    let _ = world.push(0, 5);
    assert_eq!(world.in_use(), 1, "it is still its slot");
}

#[test]
fn the_last_quarter_is_for_requests_in_flight_and_then_it_is_full() {
    let world = World::of(2);
    for slots in 1..=FULL {
        fill(&world, 0, 1);
        assert_eq!(has_room(&world, 0), slots < 6, "{slots} slots");
    }
    for length in [0, SLOT_BYTES] {
        assert_eq!(world.push(1, length), Some(Stored::Full), "{length}");
    }
    assert!(!has_room(&world, 1));
    assert!(world.settle(10));
    assert!(has_room(&world, 0) && has_room(&world, 1), "seen on the tick");
    assert_eq!(world.push(1, 5), Some(Stored::Done));
    let counters = counters(&world, 0);
    assert_eq!((counters.queued, counters.waiting), (8, 0));
}

#[test]
fn while_the_collector_is_away_slots_are_filled_before_they_are_closed() {
    let world = World::of(1);
    let mut stored = 0;
    for second in 0..400 {
        stored += u64::from(world.push(0, 500) == Some(Stored::Done));
        wait(&world, 1_000);
        world.tick(0);
        if world.calls(0) > 0 {
            world.answer(0, Answer::Failed { arrived: false });
        }
        assert!(world.in_use() <= 4 + second / 31, "{second}");
    }
    assert!(stored > 150, "{stored} lines in {FULL} slots");
    assert!(world.settle(200));
    world.check_ledger();
}

#[test]
fn nobody_keeps_a_slot_open_that_stands_in_the_way() {
    let world = World::of(2);
    let _ = world.push(1, 5);
    fill(&world, 0, 6);
    world.tick(0);
    world.answer(0, Answer::Failed { arrived: false });
    // The one of instance 1 is the head, and the collector is away; it does not fill up.
    wait(&world, 1_000);
    world.tick(1);
    serve(&world, 0, 3);
    assert_eq!(world.in_use(), 0);
}
