//! Random walks: whatever happens in whatever order, nothing is lost, invented or unbounded, and in
//! the end everything is sent.

use proptest::prelude::*;

use super::world::{Answer, Op, SLOTS, World};
use crate::audit::queue::Stored;

const MEMBERS: usize = 4;

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Sent),
        2 => any::<bool>().prop_map(|arrived| Answer::Failed { arrived }),
        1 => Just(Answer::Rejected),
        1 => any::<bool>().prop_map(|arrived| Answer::Never { arrived }),
    ]
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0..900_usize, 4 => 900..9_000_usize, 1 => 16_300..40_000_usize]
}

/// What may happen at any time, also in the middle of something.
fn small() -> impl Strategy<Value = Op> {
    let who = 0..MEMBERS;
    prop_oneof![
        10 => (who.clone(), length()).prop_map(|(who, length)| Op::Push(who, length)),
        10 => who.clone().prop_map(Op::Tick),
        6 => (who.clone(), answer()).prop_map(|(who, answer)| Op::Answer(who, answer)),
        1 => who.clone().prop_map(Op::Die),
        1 => who.prop_map(Op::End),
        2 => (1..700_u64).prop_map(Op::Wait),
    ]
}

fn large() -> impl Strategy<Value = Op> {
    prop_oneof![
        30 => small(),
        4 => (100..7_000_u64).prop_map(Op::Wait),
        1 => (-20..20_i64).prop_map(Op::Jump),
        2 => (1..6_usize, any::<bool>()).prop_map(|(calls, after)| Op::Fail(calls, after)),
        2 => (1..80_usize).prop_map(Op::Race),
    ]
}

/// Something, and what happens in the middle of it, each after some calls of the host.
fn step() -> impl Strategy<Value = (Op, Vec<(usize, Op)>)> {
    (large(), proptest::collection::vec((0..6_usize, small()), 0..4))
}

proptest! {
    #[test]
    fn every_line_stored_is_sent_or_given_back_and_the_queue_empties(
        steps in proptest::collection::vec(step(), 1..160),
    ) {
        let world = World::of(MEMBERS);
        for (op, between) in steps {
            *world.between.borrow_mut() = between.into();
            world.run(&op);
            world.between.borrow_mut().clear();
            prop_assert!(world.in_use() <= SLOTS as u64);
        }
        world.check_memory();
        prop_assert!(world.settle(500), "{} slots are left", world.in_use());
        world.check_ledger();
        for member in 0..MEMBERS {
            let counters = world.with_member(member, |member| member.queue.counters()).unwrap();
            prop_assert_eq!(counters.broken, 0);
        }
    }

    #[test]
    fn a_line_is_refused_exactly_when_it_needs_a_slot_and_all_are_in_use(
        lengths in proptest::collection::vec((0..MEMBERS, length()), 1..200),
    ) {
        let world = World::of(MEMBERS);
        for (who, length) in lengths {
            let before = world.in_use();
            let stored = world.push(who, length);
            let full = before == SLOTS as u64;
            match stored {
                Some(Stored::Full) => prop_assert!(full),
                Some(Stored::Done) => prop_assert!(!full || world.in_use() == before),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(world.settle(20));
        world.check_ledger();
        prop_assert!(world.arrived.borrow().values().all(|times| *times == 1));
    }
}
