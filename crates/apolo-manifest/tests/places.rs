//! Where things stand, and what is in the way of an addition.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use apolo_manifest::{Manifest, Operation, Position};
use serde_json::{Value, json};

const POD: &str = "\
# A Pod.
---
kind: Pod
metadata:
  annotations:
    \"secrets.apolo.us/volume\": |
      secret:a:/etc/a
      secret:ü:etc/b
    secrets.apolo.us/env: \"A=secret:a\\nB=\\u0073ecret:b\"
    secrets.apolo.us/containers: 'it''s, main'
    note: >-
      one
      two
    nothing:
spec: {containers: [{name: a}]}
";

fn at(line: usize, column: usize) -> Position {
    Position { line, column }
}

#[test]
fn a_value_and_its_key_have_a_place() {
    let manifest = Manifest::read(POD.as_bytes()).unwrap();
    let document = manifest.documents().next().unwrap();
    let table = [
        ("", at(3, 1), at(3, 1)),
        ("/kind", at(3, 7), at(3, 1)),
        ("/metadata", at(5, 3), at(4, 1)),
        ("/metadata/annotations/secrets.apolo.us~1volume", at(6, 32), at(6, 5)),
        ("/metadata/annotations/secrets.apolo.us~1env", at(9, 27), at(9, 5)),
        ("/metadata/annotations/nothing", at(14, 13), at(14, 5)),
        ("/metadata/annotations/absent/too", at(6, 5), at(5, 3)),
        ("/spec/containers/0", at(15, 21), at(15, 21)),
        ("/spec/containers/0/name", at(15, 28), at(15, 22)),
        ("/spec/containers/1/name", at(15, 20), at(15, 8)),
    ];
    for (pointer, value, key) in table {
        assert_eq!((document.position(pointer), document.key_position(pointer)), (value, key), "{pointer}");
    }
    assert_eq!(document.line(), 3);
}

#[test]
fn an_item_of_an_annotation_has_a_place() {
    let manifest = Manifest::read(POD.as_bytes()).unwrap();
    let document = manifest.documents().next().unwrap();
    let table = [
        ("secrets.apolo.us~1volume", "secret:ü", at(8, 7)),
        ("secrets.apolo.us~1volume", "etc/b", at(8, 16)),
        ("secrets.apolo.us~1env", "B=secret", at(9, 40)),
        ("secrets.apolo.us~1env", "ecret:b", at(9, 48)),
        ("secrets.apolo.us~1containers", "main", at(10, 42)),
        ("note", "two", at(13, 7)),
    ];
    for (name, item, place) in table {
        let pointer = format!("/metadata/annotations/{name}");
        let value = document.json().pointer(&pointer).and_then(Value::as_str).unwrap();
        assert_eq!(document.position_in(&pointer, value.find(item).unwrap()), place, "{name} {item}");
    }
}

#[test]
fn what_comes_from_an_anchor_stands_where_it_is_written() {
    let text = "a: &x\n  b: one\nc: *x\nd:\n  <<: *x\n  e: two\n";
    let manifest = Manifest::read(text.as_bytes()).unwrap();
    let document = manifest.documents().next().unwrap();
    assert_eq!(document.position("/c"), at(3, 4));
    assert_eq!(document.position("/c/b"), at(2, 6));
    assert_eq!(document.key_position("/d/b"), at(2, 3));
}

#[test]
fn an_addition_that_would_change_what_is_there_is_refused_with_its_place() {
    let anchors = "a: &x\n  b: [1]\nc: *x\nd:\n  <<: *x\n  e: 2\nf: null\ng: [1]\n";
    let table = [
        (
            "/a/z",
            "line 2, column 3: what stands here is used elsewhere too, by the alias *x; write it out there, or use -o json",
        ),
        ("/c/z", "line 3, column 4: this comes from line 2, by the alias *x; write it out here, or use -o json"),
        (
            "/d/b",
            "line 5, column 3: a part of this comes from line 2, by the merge key <<; write it out here, or use -o json",
        ),
        (
            "/d/b/-",
            "line 5, column 3: a part of this comes from line 2, by the merge key <<; write it out here, or use -o json",
        ),
        ("/d/e", "line 6, column 6: another value stands here already; remove it, or use -o json"),
        ("/f", "line 7, column 4: null stands here; remove that word, or use -o json"),
        ("/g/0", "line 8, column 4: something can only be added to the end of this list"),
        ("/h/i", "line 1, column 1: the path of what is to be added does not lead anywhere in this document"),
        ("h", "line 1, column 1: the path of what is to be added is no JSON Pointer"),
    ];
    let manifest = Manifest::read(anchors.as_bytes()).unwrap();
    for (path, words) in table {
        let operation = Operation::Add { path: path.to_owned(), value: json!({"y": 1}) };
        assert_eq!(manifest.add([(0, vec![operation])]).expect_err(path).to_string(), words, "{path}");
    }
    let operation = Operation::Add { path: "/d/z".to_owned(), value: json!(1) };
    let result = manifest.add([(0, vec![operation])]).unwrap();
    assert_eq!(result, anchors.replace("  e: 2\n", "  e: 2\n  z: 1\n"));
    assert!(manifest.add([(1, Vec::new())]).is_err());
}

#[test]
fn an_operation_may_add_to_what_another_added() {
    let manifest = Manifest::read(b"a:\n- 1\nb:\n").unwrap();
    let operations = json!([
        {"op": "add", "path": "/c", "value": {}},
        {"op": "add", "path": "/c/d", "value": []},
        {"op": "add", "path": "/c/d/-", "value": 1},
        {"op": "add", "path": "/a/-", "value": {"x": 1}},
        {"op": "add", "path": "/a/1/z", "value": 2},
        {"op": "add", "path": "/a/-", "value": 3},
        {"op": "add", "path": "/b", "value": [0]},
        {"op": "add", "path": "/b/-", "value": "yes"},
    ]);
    let operations: Vec<Operation> = serde_json::from_value(operations).unwrap();
    let result = manifest.add([(0, operations)]).unwrap();
    assert_eq!(result, "a:\n- 1\n- x: 1\n  z: 2\n- 3\nb:\n- 0\n- \"yes\"\nc:\n  d:\n  - 1\n");
}

#[test]
fn only_add_is_an_operation() {
    assert!(serde_json::from_value::<Operation>(json!({"op": "remove", "path": "/a"})).is_err());
}

#[test]
fn a_last_line_without_a_line_break_is_read_as_if_it_had_one() {
    for (text, value) in
        [("a: |\n  b", "b\n"), ("a: |+\n  b\n  ", "b\n\n"), ("a: >+\n  b\n\n ", "b\n\n\n"), ("a: |", "")]
    {
        let manifest = Manifest::read(text.as_bytes()).unwrap();
        assert_eq!(manifest.documents().next().unwrap().json(), &json!({"a": value}), "{text:?}");
        let operation = Operation::Add { path: "/c".to_owned(), value: json!(1) };
        assert_eq!(manifest.add([(0, vec![operation])]).unwrap(), format!("{text}\nc: 1"));
    }
}

#[test]
fn a_comment_on_a_last_line_without_a_line_break_is_not_taken_into_a_string() {
    let manifest = Manifest::read(b"a:\n b: 1\n      # deep").unwrap();
    let operation = Operation::Add { path: "/a/c".to_owned(), value: json!("d\n e\n") };
    assert_eq!(manifest.add([(0, vec![operation])]).unwrap(), "a:\n b: 1\n c: \"d\\n e\\n\"\n      # deep");
}
