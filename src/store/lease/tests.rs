use super::*;
use crate::base::capabilities::Native;
use crate::base::time::UnixSeconds;

const LENGTH: Duration = Duration::from_secs(10);

struct Scene {
    caps: Native,
    lease: Lease,
    one: InstanceId,
    two: InstanceId,
}

impl Scene {
    fn new() -> Scene {
        let caps = Native::at(second(1_000));
        let lease = Lease::new("lease".to_owned(), Duration::from_secs(60));
        let (one, two) = (InstanceId::draw(&caps), InstanceId::draw(&caps));
        Scene { caps, lease, one, two }
    }

    fn at(&self, seconds: u64) -> &Scene {
        self.caps.set_now(second(seconds));
        self
    }

    fn takes(&self, me: &InstanceId) -> bool {
        self.lease.take(me, LENGTH, &self.caps).unwrap()
    }
}

fn second(seconds: u64) -> Instant {
    Instant::from_seconds(UnixSeconds(seconds))
}

#[test]
fn one_of_several_instances_gets_it() {
    let scene = Scene::new();
    let instances: Vec<_> = (0..5).map(|_| InstanceId::draw(&scene.caps)).collect();
    let leaders = instances.iter().filter(|instance| scene.takes(instance)).count();
    assert_eq!(leaders, 1);
}

#[test]
fn a_dead_leader_is_followed_when_its_lease_expires() {
    let scene = Scene::new();
    assert!(scene.takes(&scene.one));
    assert!(!scene.at(1_009).takes(&scene.two));
    assert!(scene.at(1_010).takes(&scene.two));
    assert!(!scene.lease.keep(&scene.one, LENGTH, &scene.caps).unwrap(), "the first lost it");
    assert!(scene.lease.keep(&scene.two, LENGTH, &scene.caps).unwrap());
}

#[test]
fn a_leader_that_lost_the_lease_cannot_give_it_away() {
    let scene = Scene::new();
    assert!(scene.takes(&scene.one));
    assert!(scene.at(1_010).takes(&scene.two));
    scene.lease.give_back(&scene.one, &scene.caps);
    scene.lease.pause(&scene.one, LENGTH, &scene.caps);
    assert!(!scene.takes(&scene.one));
    assert!(scene.lease.keep(&scene.two, LENGTH, &scene.caps).unwrap());
}

#[test]
fn it_is_free_once_given_back() {
    let scene = Scene::new();
    assert!(scene.takes(&scene.one));
    scene.lease.give_back(&scene.one, &scene.caps);
    assert!(scene.takes(&scene.two));
}

#[test]
fn it_is_kept_for_longer_from_now() {
    let scene = Scene::new();
    assert!(scene.takes(&scene.one));
    assert!(scene.at(1_008).lease.keep(&scene.one, LENGTH, &scene.caps).unwrap());
    assert!(!scene.at(1_017).takes(&scene.two));
    assert!(scene.at(1_018).takes(&scene.two));
}

#[test]
fn failures_in_a_row_delay_everybody_for_longer_and_success_starts_over() {
    let scene = Scene::new();
    let most = Duration::from_secs(5);
    let mut now = 1_000;
    for (failure, delay) in [1, 2, 4, 5, 5].into_iter().enumerate() {
        assert!(scene.at(now).takes(&scene.one), "failure {failure}");
        scene.lease.pause(&scene.one, most, &scene.caps);
        assert!(!scene.takes(&scene.one), "failure {failure}: itself");
        assert!(!scene.at(now + delay - 1).takes(&scene.two), "failure {failure}: another");
        now += delay;
    }
    assert!(scene.at(now).takes(&scene.two));
    scene.lease.give_back(&scene.two, &scene.caps);
    assert!(scene.takes(&scene.one));
    scene.lease.pause(&scene.one, most, &scene.caps);
    assert!(scene.at(now + 1).takes(&scene.two), "the first delay again");
}

#[test]
fn many_failures_do_not_overflow() {
    let scene = Scene::new();
    for round in 0..300 {
        assert!(scene.at(1_000 + round * 5).takes(&scene.one), "round {round}");
        scene.lease.pause(&scene.one, Duration::from_secs(5), &scene.caps);
    }
}

#[test]
fn a_lease_from_before_the_clock_was_set_back_is_free() {
    let scene = Scene::new();
    assert!(scene.at(5_000).takes(&scene.one));
    assert!(scene.at(1_000).takes(&scene.two));
}

#[test]
fn what_is_no_record_is_free() {
    let scene = Scene::new();
    scene.caps.set_shared("lease", b"what?", None).map(drop).unwrap();
    assert!(scene.takes(&scene.one));
    assert!(!scene.takes(&scene.two));
}

#[test]
fn two_that_create_the_key_at_once_both_have_it_until_the_later_one_keeps_it() {
    let scene = Scene::new();
    // The host lets both writes through while the key does not exist: the second wins.
    assert!(scene.lease.write(&held_by(&scene.one), None, &scene.caps).unwrap());
    assert!(scene.lease.write(&held_by(&scene.two), None, &scene.caps).unwrap());
    assert!(!scene.lease.keep(&scene.one, LENGTH, &scene.caps).unwrap());
    assert!(scene.lease.keep(&scene.two, LENGTH, &scene.caps).unwrap());
}

fn held_by(instance: &InstanceId) -> Record {
    Record { owner: instance.0, until: second(1_010), failures: 0 }
}
