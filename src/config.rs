//! Every setting, with its default and unit.
