//! The five permissions of SMART App Launch 2 (`cruds`) and sets of them.

use core::fmt;

/// One permission of a clinical scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Permission {
    /// `c`: create
    Create,
    /// `r`: read, vread, history of one resource
    Read,
    /// `u`: update (also one that creates), patch
    Update,
    /// `d`: delete
    Delete,
    /// `s`: search, history of a type or of the whole system
    Search,
}

impl Permission {
    /// All five, in the order a scope must write them.
    pub(super) const ALL: [Permission; 5] = [
        Permission::Create,
        Permission::Read,
        Permission::Update,
        Permission::Delete,
        Permission::Search,
    ];

    /// The letter in a scope.
    pub(super) const fn letter(self) -> char {
        match self {
            Permission::Create => 'c',
            Permission::Read => 'r',
            Permission::Update => 'u',
            Permission::Delete => 'd',
            Permission::Search => 's',
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Permission::Create => 1,
            Permission::Read => 1 << 1,
            Permission::Update => 1 << 2,
            Permission::Delete => 1 << 3,
            Permission::Search => 1 << 4,
        }
    }
}

/// A set of permissions. Shown as its letters in order: `rs`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub(super) struct Permissions(u8);

impl Permissions {
    /// The set of these.
    pub(super) const fn of(permissions: &[Permission]) -> Permissions {
        let mut bits = 0;
        let mut rest = permissions;
        while let [first, tail @ ..] = rest {
            bits |= first.bit();
            rest = tail;
        }
        Permissions(bits)
    }

    /// Reads v2 letters: at least one, in the order `cruds`, none twice.
    pub(super) fn parse(letters: &str) -> Option<Permissions> {
        let mut bits = 0_u8;
        for letter in letters.chars() {
            let permission = Permission::ALL.into_iter().find(|p| p.letter() == letter)?;
            if bits >= permission.bit() {
                return None;
            }
            bits |= permission.bit();
        }
        (bits != 0).then_some(Permissions(bits))
    }

    /// Whether `permission` is in the set.
    pub(super) const fn contains(self, permission: Permission) -> bool {
        self.0 & permission.bit() != 0
    }

    /// The permissions of the set, in order.
    pub(super) fn iter(self) -> impl Iterator<Item = Permission> {
        Permission::ALL.into_iter().filter(move |permission| self.contains(*permission))
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|permission| write!(formatter, "{}", permission.letter()))
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Permissions({self})")
    }
}
