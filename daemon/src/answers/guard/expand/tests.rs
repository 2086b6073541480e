use super::*;

fn valid(schema: &Value, instance: &Value) -> bool {
    let expanded = expand(schema).expect("a tree").schema;
    let validator = jsonschema::options().build(&expanded).expect("a schema");
    validator.is_valid(instance)
}

#[test]
fn references_are_followed() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "$ref": {"type": "string"}, "b": {"$ref": "#/properties/a"}},
        "$defs": {"A": {"type": "integer", "minimum": 3}, "x~/y": {}},
        "enum": [{"a": 4, "$ref": "#/nowhere"}, {"b": 1}],
    });
    assert!(valid(&schema, &json!({"a": 4, "$ref": "#/nowhere"})));
    assert!(!valid(&schema, &json!({"b": 1})), "of a reference to a reference");
    assert!(!valid(&schema, &json!({"a": 5})), "values are no schemas");
}

#[test]
fn what_stands_beside_a_reference_holds_as_well() {
    let schema = json!({"$defs": {"a~b/c": {"minimum": 3}}, "$ref": "#/$defs/a~0b~1c", "maximum": 5, "allOf": [{"not": {"const": 4}}]});
    for (number, fits) in [(2, false), (3, true), (4, false), (5, true), (6, false)] {
        assert_eq!(valid(&schema, &json!(number)), fits, "{number}");
    }
}

#[test]
fn what_refers_to_itself_is_followed_some_levels_deep() {
    let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "additionalProperties": false});
    let list = |levels: usize| (0..levels).fold(json!({"odd": 1}), |inner, _| json!({"next": inner}));
    assert!(!valid(&schema, &list(8)));
    assert!(valid(&schema, &list(40)), "below, anything fits");
}

#[test]
fn what_multiplies_stays_within_the_budget() {
    let doubling = json!({"allOf": [{"properties": {"a": {"$ref": "#"}}}, {"properties": {"a": {"$ref": "#"}}}]});
    assert!(expand(&doubling).expect("cut off").values <= BUDGET);
    let mut defs = Map::new();
    for number in 0..60 {
        let next = json!({"$ref": format!("#/$defs/d{}", number + 1)});
        defs.insert(format!("d{number}"), json!({"allOf": [next.clone(), next]}));
    }
    defs.insert("d60".to_owned(), json!({"type": "object"}));
    let chain = json!({"$ref": "#/$defs/d0", "$defs": defs});
    assert!(expand(&chain).expect("cut off").values <= BUDGET);
    let itself = json!({"$ref": "#"});
    assert!(valid(&itself, &json!(1)));
}

#[test]
fn what_cannot_be_followed_is_said() {
    for (schema, said) in [
        (json!({"$ref": "https://example.org/schema"}), "outside of itself"),
        (json!({"properties": {"a": {"$ref": "other.json#/a"}}}), "outside of itself"),
        (json!({"$ref": "#name"}), "outside of itself"),
        (json!({"$ref": "#/$defs/none"}), "not there"),
        (json!({"items": {"$dynamicRef": "#node"}}), "$dynamicRef"),
        (json!({"allOf": [{"unevaluatedProperties": {}}]}), "unevaluatedProperties"),
        (json!({"unevaluatedItems": false}), "unevaluatedItems"),
        (json!({"enum": (0..BUDGET).collect::<Vec<_>>()}), "more than"),
    ] {
        let why = expand(&schema).expect_err("unfit");
        assert!(why.contains(said), "{why}");
    }
}

#[test]
fn fragments_are_decoded() {
    assert_eq!(decoded("/a%20b/%7E1/%zz/%"), "/a b/~1/%zz/%");
}

#[test]
fn what_multiplies_text_stays_within_its_budget() {
    // Told to people alone: it costs nothing, however often it is referred to.
    let long = "x".repeat(200 << 10);
    let refers: Vec<Value> = (0..1000).map(|_| json!({"$ref": "#/$defs/a"})).collect();
    let told = json!({"$defs": {"a": {"description": long, "type": "object"}}, "anyOf": refers});
    assert!(expand(&told).expect("a tree").text < 100_000);
    let held = json!({"$defs": {"a": {"const": long}}, "anyOf": refers});
    let expanded = expand(&held);
    assert!(expanded.is_err() || expanded.is_ok_and(|expanded| expanded.text <= TEXT));
    // A validator keeps the whole way to each keyword.
    let many: Map<String, Value> = (0..5000).map(|number| (number.to_string(), json!({"minLength": 1}))).collect();
    let deep = json!({"properties": {"n".repeat(100 << 10): {"properties": many}}});
    assert!(expand(&deep).expect_err("too much").contains("bytes"));
}

#[test]
fn a_pattern_is_listed_once() {
    let schema = json!({"properties": {"a": {"pattern": "^x"}, "b": {"pattern": "^x"}}, "patternProperties": {"^y": {}}, "enum": [{"pattern": "no"}]});
    let patterns: Vec<String> = expand(&schema).expect("a tree").patterns.into_iter().collect();
    assert_eq!(patterns, ["^x", "^y"]);
}
