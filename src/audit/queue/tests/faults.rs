//! What ends, what is overwritten and what fails.

use proptest::prelude::*;

use super::rows::{arrived, counters, fill, has_room, notices, once, serve, wait};
use super::world::{Answer, Op, SLOTS, World, settings};
use crate::audit::queue::slot::{Label, SLOT_BYTES, Slot, State};
use crate::audit::queue::*;

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
