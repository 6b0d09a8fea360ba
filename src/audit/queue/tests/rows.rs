//! One behaviour each.

use proptest::prelude::*;

use super::world::{Answer, Op, SLOTS, World, settings};
use crate::audit::queue::slot::{Label, SLOT_BYTES, Slot, State};
use crate::audit::queue::*;

const FULL: u64 = SLOTS as u64;

/// Everything that an instance's queue counts.
fn counters(world: &World, who: usize) -> Counters {
    world.with_member(who, |member| member.queue.counters()).unwrap()
}

fn notices(world: &World, who: usize) -> Vec<String> {
    let notices = world.with_member(who, |member| member.queue.notices()).unwrap();
    notices.into_iter().map(|notice| notice.text).collect()
}

fn has_room(world: &World, who: usize) -> bool {
    world.with_member(who, |member| member.queue.has_room()).unwrap()
}

fn hurries(world: &World, who: usize) -> bool {
    world.with_member(who, |member| member.queue.hurries()).unwrap()
}

fn wait(world: &World, millis: u64) {
    world.run(&Op::Wait(millis));
}

/// How often each line arrived, by its name without the filling.
fn arrived(world: &World) -> Vec<(String, usize)> {
    let name = |line: &str| line.trim_end_matches(['x', '-']).to_owned();
    world.arrived.borrow().iter().map(|(line, times)| (name(line), *times)).collect()
}

fn once(names: &[&str]) -> Vec<(String, usize)> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

/// Ticks one instance every half second for so long, every call of it succeeds.
fn serve(world: &World, who: usize, seconds: u64) {
    for _ in 0..seconds * 2 {
        wait(world, 500);
        world.tick(who);
        while world.calls(who) > 0 {
            world.answer(who, Answer::Sent);
        }
    }
}

/// Fills so many slots, each with a line that leaves no room for another.
fn fill(world: &World, who: usize, slots: u64) {
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

#[test]
fn the_last_instance_to_end_gives_back_what_waits() {
    let world = World::of(3);
    for who in 0..3 {
        fill(&world, who, 2);
        world.tick(who);
    }
    world.end(0);
    assert_eq!(world.returned.borrow().len(), 0, "two others are alive");
    wait(&world, 500);
    world.tick(2);
    wait(&world, 1_600);
    world.end(1);
    assert_eq!(world.returned.borrow().len(), 0, "one ticked 1.6 seconds ago");
    world.end(2);
    assert_eq!(world.returned.borrow().len(), 6);
    world.check_ledger();
    assert!(world.settle(3));
    assert_eq!(arrived(&world), [], "they are out of the ring");
}

#[test]
fn who_ends_while_others_live_leaves_its_lines_and_the_sending_to_them() {
    let world = World::of(2);
    fill(&world, 0, 2);
    assert_eq!(world.tick(0), 1);
    world.tick(1);
    world.end(0);
    assert_eq!(world.tick(1), 1, "at once");
    world.answer(1, Answer::Sent);
    assert_eq!(arrived(&world), once(&["0-1", "0-2"]));
    assert_eq!(world.in_use(), 0);
}

#[test]
fn the_last_one_known_takes_no_lines_from_one_that_has_just_begun() {
    let world = World::of(2);
    fill(&world, 0, 2);
    world.tick(0);
    // It has not ticked yet: nobody knows of it.
    let _ = world.push(1, 5);
    world.end(0);
    fill(&world, 1, 2);
    world.check_ledger_after(20);
    assert_eq!(world.returned.borrow().len(), 3, "its first line is there twice");
}

#[test]
fn two_sizes_are_two_queues() {
    let world = World::of(1);
    let _ = world.push(0, 5);
    let larger = QueueSettings { bytes: 2 * SLOTS * SLOT_BYTES, ..settings() };
    let named = QueueSettings { digest_of: "another".to_owned(), ..settings() };
    for (settings, mine) in [(settings(), true), (larger, false), (named, false)] {
        let mut queue = Queue::new(settings.clone());
        let instance = InstanceId::draw(&world);
        assert_eq!(queue.due(&instance, &world).len(), 0);
        assert_eq!(queue.counters().waiting, u64::from(mine), "{settings:?}");
    }
}

#[test]
fn a_header_that_was_overwritten_is_made_anew_from_the_slots() {
    let garbage: [&[u8]; 4] = [b"", b"?", &[1; 17], &[0xff; 18]];
    for value in garbage {
        let world = World::of(2);
        fill(&world, 0, 3);
        let _ = world.push(1, 5);
        assert!(world.overwrite("/ring", value));
        assert_eq!(world.push(0, SLOT_BYTES), Some(Stored::Unavailable), "{value:?}");
        assert_eq!(world.push(1, 6), Some(Stored::Done), "{value:?}: its slot has room");
        world.tick(0);
        assert!(has_room(&world, 0));
        assert!(notices(&world, 0)[0].contains("4 of them wait"), "{value:?}");
        assert_eq!(world.push(0, SLOT_BYTES), Some(Stored::Done), "{value:?}");
        assert!(world.settle(20), "{value:?}");
        world.check_ledger();
        assert_eq!(counters(&world, 0).broken, 1);
        assert!(world.arrived.borrow().values().all(|times| *times == 1), "{value:?}");
    }
}

#[test]
fn a_header_that_was_set_back_loses_nothing() {
    let world = World::of(2);
    fill(&world, 0, 5);
    serve(&world, 0, 1);
    fill(&world, 0, 3);
    let _ = world.push(1, 5);
    let mut first = vec![1];
    first.extend([0; 17]);
    assert!(world.overwrite("/ring", &first));
    // As the ring goes around, all slots are found.
    for round in 0..6 {
        for who in [1, 0, 0] {
            let _ = world.push(who, SLOT_BYTES - 100);
        }
        assert!(world.settle(30), "{round}");
    }
    world.check_ledger();
}

#[test]
fn an_open_slot_that_is_not_in_the_ring_gets_a_number_on_the_next_tick() {
    // The header is set back, or ahead; then once more the host fails in the middle.
    for (number, fails) in [(0, 99), (1, 99), (0, 3), (0, 4), (0, 5)] {
        let world = World::of(2);
        let _ = world.push(1, 5);
        let mut header = vec![1, 0];
        header.extend([u64::to_be_bytes(number), u64::to_be_bytes(number)].concat());
        assert!(world.overwrite("/ring", &header));
        world.between.borrow_mut().push_back((fails, Op::Fail(1, false)));
        world.tick(1);
        world.between.borrow_mut().clear();
        assert_eq!(world.push(1, 5), Some(Stored::Done), "{number} {fails}");
        world.check_ledger_after(20);
    }
}

#[test]
fn who_takes_a_number_and_sleeps_loses_it_and_takes_another() {
    // Before the slot of the number is read, and before it is written.
    for calls in [2, 3] {
        let world = World::of(2);
        let others = [Op::Wait(500), Op::Tick(1)];
        let others = std::iter::repeat_n(others, 14).flatten().collect();
        world.tick(1);
        world.between.borrow_mut().push_back((calls, Op::All(others)));
        assert_eq!(world.push(0, 5), Some(Stored::Done), "{calls}");
        assert_eq!((world.between.borrow().len(), world.in_use()), (0, 1), "{calls}");
        world.check_ledger_after(20);
    }
}

#[test]
fn a_slot_that_was_overwritten_is_passed_over_and_told() {
    let other_number = Label::sent(3).encode("");
    for value in [&b"what?"[..], &[0xff; 40], &other_number] {
        let world = World::of(1);
        fill(&world, 0, 4);
        assert!(world.overwrite("slot/1", value));
        assert!(world.settle(30), "{value:?}");
        assert_eq!(arrived(&world), once(&["0-1", "0-3", "0-4"]), "{value:?}");
        assert_eq!(counters(&world, 0).broken, 1, "{value:?}");
        let notices = notices(&world, 0);
        assert!(notices.len() == 1 && notices[0].contains("1 slots"), "{notices:?}");
    }
}

#[test]
fn an_open_slot_that_was_overwritten_is_put_right_by_its_owner() {
    for (value, idle) in [(&b""[..], 100), (b"what?", 100), (b"", 3_000), (b"what?", 3_000)] {
        let world = World::of(2);
        world.tick(1);
        let _ = world.push(0, 5);
        assert!(world.overwrite("slot/0", value));
        world.tick(1);
        wait(&world, idle);
        let _ = world.push(0, 5);
        assert!(world.settle(30));
        assert_eq!(arrived(&world), once(&["1-1", "1-2"]), "{value:?} {idle}");
        assert_eq!(counters(&world, 1).broken, 0);
    }
}

#[test]
fn lines_are_refused_while_the_host_fails_and_stored_again_after() {
    for after in [false, true] {
        let world = World::of(1);
        let _ = world.push(0, 5);
        world.run(&Op::Fail(3, after));
        let mut refused = 0;
        while world.push(0, 6) == Some(Stored::Unavailable) {
            refused += 1;
        }
        assert_eq!(refused, 3, "{after}");
        let refused = &*world.pushed.borrow() - &*world.stored.borrow();
        world.run(&Op::Fail(9, after));
        world.tick(0);
        assert!(!has_room(&world, 0));
        world.check_ledger_after(20);
        let sent = refused.iter().filter(|line| world.arrived.borrow().contains_key(*line));
        assert!(after || sent.count() == 0, "what was refused is told elsewhere");
    }
}

#[test]
fn a_number_that_was_taken_and_never_written_is_passed_over() {
    let world = World::of(2);
    world.between.borrow_mut().push_back((2, Op::Fail(1, false)));
    assert_eq!(world.push(0, 5), Some(Stored::Unavailable), "between the number and the slot");
    world.run(&Op::Die(0));
    fill(&world, 1, 2);
    assert_eq!(world.in_use(), 3);
    serve(&world, 1, 5);
    assert_eq!((arrived(&world), world.in_use()), (once(&["1-1", "1-2"]), 3));
    serve(&world, 1, 1);
    assert_eq!((world.in_use(), counters(&world, 1).broken), (0, 0));
}

#[test]
fn two_that_begin_at_once_get_two_slots() {
    for calls in 0..4 {
        let world = World::of(2);
        world.between.borrow_mut().push_back((calls, Op::Push(1, 5)));
        let _ = world.push(0, 5);
        assert_eq!(world.in_use(), 2, "{calls}");
        assert!(world.settle(10));
        assert_eq!(world.arrived.borrow().len(), 2, "{calls}");
    }
}

#[test]
fn a_clock_that_was_set_stops_nothing() {
    for seconds in [-100_000, -10, -3, 3, 10, 100_000] {
        let world = World::of(3);
        fill(&world, 0, 2);
        (0..2).for_each(|who| world.run(&Op::Push(who, 5)));
        world.tick(0);
        world.tick(1);
        world.run(&Op::Die(2));
        world.run(&Op::Jump(seconds));
        (0..2).for_each(|who| world.run(&Op::Push(who, 5)));
        world.run(&Op::Die(0));
        assert!(world.settle(40), "{seconds}");
        world.check_ledger();
    }
}

#[test]
fn slots_come_back_as_they_were() {
    let states = [State::Open, State::Closed, State::Sent];
    for (state, text) in states.into_iter().zip(["a\n", "caf\u{e9}\nb\n", ""]) {
        let opened = Instant::from_nanoseconds(7);
        let label = Label { seq: 1 << 40, state, owner: [9; 16], opened };
        let slot = Slot::decode(label.encode(text)).unwrap();
        assert_eq!((slot.label, slot.text.as_str()), (label, text));
        assert_eq!(slot.waits(), !text.is_empty());
    }
}

proptest! {
    #[test]
    fn reading_what_others_wrote_never_panics(
        value in proptest::collection::vec(any::<u8>(), 0..60),
        key in prop_oneof![Just("/ring"), Just("slot/0"), Just("slot/1"), Just("lease"), Just("alive")],
    ) {
        let world = World::of(2);
        fill(&world, 0, 2);
        world.tick(0);
        world.overwrite(key, &value);
        prop_assert!(world.settle(40));
        for line in world.arrived.borrow().keys() {
            prop_assert!(key.starts_with("slot") || world.pushed.borrow().contains(line));
        }
        if !key.starts_with("slot") {
            world.check_ledger();
        }
    }
}
