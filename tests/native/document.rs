//! Does the document show the layout that the module describes?

use std::fs;

use floatlock::wire::native::Counters;

#[test]
fn the_layout_in_the_document_is_that_of_the_module() {
    let module = fs::read_to_string("src/wire/native/mod.rs").unwrap();
    let comment = module.lines().filter_map(|line| line.strip_prefix("//!"));
    let comment: Vec<_> = comment.map(|l| l.strip_prefix(' ').unwrap_or(l)).collect();
    let layout = block(&comment.join("\n"));
    let document = fs::read_to_string("docs/protocol.md").unwrap();
    assert_eq!(layout, block(&document));
}

#[test]
fn the_document_names_every_counter_in_order() {
    let document = fs::read_to_string("docs/protocol.md").unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let named = rows.filter_map(|row| row.split('`').next());
    let counters = Counters::default();
    let names = counters.iter().map(|(name, _)| name);
    let rejections = names.filter(|name| !["accepted", "old_key"].contains(name));
    assert_eq!(named.collect::<Vec<_>>(), rejections.collect::<Vec<_>>());
}

/// The first block of text.
fn block(text: &str) -> String {
    let rest = text.split_once("```text\n").unwrap().1;
    rest.split_once("```").unwrap().0.to_owned()
}
