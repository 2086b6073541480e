//! Roles: `[role.NAME]`, compiled once here for everybody who has them.

use super::super::section::Section;
use super::super::tree::{Entry, Node, Table, Value};
use super::{Context, issuer, named};
use crate::identity::rights::{Condition, Kind, Required, Role, Rule, Scalar, Scope, Test, Whole, called};
use toolgate_protocol::json::Pointer;

/// Keys that say what a value must be.
const TESTS: [&str; 5] = ["equals", "one_of", "matches", "at_most", "at_least"];

pub(super) fn role(entry: &Entry, table: &Table, tree: &Table, context: &mut Context<'_>) -> Role {
    let section = Section::new(Some(table), "role.*");
    let owner = format!("role.{}", entry.key);
    if ["allow", "deny", "when"].iter().all(|key| section.lacks(key)) {
        let message = format!("the role `{}` neither allows nor denies anything", entry.key);
        let help = "add allow = [\"SERVER/*\"], deny or when";
        context.error("missing-key", entry.key_place, message, help);
    }
    for key in ["allow", "deny"] {
        can_match(section, key, context);
        servers_exist(section, key, tree, context);
    }
    let tables = section.written("when").map_or(&[][..], Node::elements);
    let tables = tables.iter().filter_map(|node| Some((node, node.table()?)));
    Role {
        name: entry.key.clone(),
        allow: section.written("allow").is_some().then(|| rules(section, "allow", &owner, context)),
        deny: rules(section, "deny", &owner, context),
        when: tables.filter_map(|(node, table)| condition(node, table, (&owner, tree), context)).collect(),
        required: required(section, &owner, context),
    }
}

/// The scopes without which a token's role allows nothing.
fn required(section: Section<'_>, owner: &str, context: &mut Context<'_>) -> Option<Required> {
    let node = section.written("required_scopes").filter(|node| !node.elements().is_empty())?;
    if section.lacks("allow") {
        let message = "this role allows nothing that a token could need a scope for";
        context.error("conflict", node.place, message, "add allow = [\"SERVER/*\"], or remove required_scopes");
    }
    let scopes = issuer::required_scopes(section, context);
    let text =
        called(&format!("{owner}.required_scopes"), &format!("\"{}\"", scopes.join(" ")), &context.line_of(node.place));
    Some(Required { scopes, text })
}

fn rules(section: Section<'_>, key: &str, owner: &str, context: &Context<'_>) -> Vec<Rule> {
    let nodes = section.written(key).map_or(&[][..], Node::elements).iter();
    let place = format!("{owner}.{key}");
    nodes.filter_map(|node| Some(Rule::new(&place, node.text()?, &context.line_of(node.place)))).collect()
}

/// Refuses scopes that nothing has the name of: a denial that is one would deny nothing.
pub(super) fn can_match(section: Section<'_>, key: &str, context: &mut Context<'_>) {
    for node in section.written(key).map_or(&[][..], Node::elements) {
        let Some(text) = node.text().filter(|text| !text.is_empty()) else { continue };
        if !Scope::new(text).can_match() {
            let message = format!("\"{text}\" is about nothing: a name has a server before its slash");
            context.error("invalid-value", node.place, message, format!("write \"{text}/*\" for all of a server"));
        }
    }
}

/// Warns of scopes of servers that do not exist. No error: a server is taken away without its rules.
fn servers_exist(section: Section<'_>, key: &str, tree: &Table, context: &mut Context<'_>) {
    for node in section.written(key).map_or(&[][..], Node::elements) {
        if let Some(text) = node.text() {
            server_exists(&Scope::new(text), node, tree, context);
        }
    }
}

fn server_exists(scope: &Scope, node: &Node, tree: &Table, context: &mut Context<'_>) {
    let known = || named(tree, "server").map(|(entry, _)| entry.key.as_str());
    let Some(server) = scope.server().filter(|server| known().all(|known| known != *server)) else { return };
    let help = match super::super::nearest(server, known()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("add [server.{server}], or remove it"),
    };
    context.warning("no-effect", node.place, format!("there is no server \"{server}\""), help);
}

fn condition(
    node: &Node,
    table: &Table,
    (owner, tree): (&str, &Table),
    context: &mut Context<'_>,
) -> Option<Condition> {
    let section = Section::new(Some(table), "role.*.when[]");
    for (key, help) in [("tool", "add tool = \"SERVER/TOOL\""), ("argument", "add argument = \"/NAME\"")] {
        if section.lacks(key) {
            context.error("missing-key", node.place, format!("this condition has no {key}"), help);
        }
    }
    if TESTS.iter().all(|key| section.lacks(key)) {
        let help = "add equals, one_of, matches, at_most or at_least";
        context.error("missing-key", node.place, "this condition says nothing of the value", help);
    }
    if let Some(list) = section.written("one_of").filter(|list| list.elements().is_empty()) {
        context.error("conflict", list.place, "no value is one of none", "name some, or deny the tool");
    }
    let (tool, argument) = (section.text("tool")?, section.text("argument")?);
    let tools = Scope::new(&tool);
    if tools.kind().is_some_and(|kind| kind != Kind::Tool) {
        let place = section.written("tool")?.place;
        context.error("conflict", place, "only tools have arguments that conditions look at", "name a tool");
    }
    if let Some(node) = section.written("tool") {
        server_exists(&tools, node, tree, context);
        can_match(section, "tool", context);
    }
    Some(Condition {
        rule: called(&format!("{owner}.when"), &format!("\"{tool}\" {argument}"), &context.line_of(node.place)),
        tools,
        argument: Pointer::parse(&argument).ok()?,
        tests: tests(section),
        absent_passes: section.text("absent").as_deref() == Some("pass"),
    })
}

fn tests(section: Section<'_>) -> Vec<Test> {
    let scalar = |key| section.valid(key).and_then(scalar);
    let bound = |key| section.valid(key).and_then(number);
    let list = |key| section.written(key).map(|list| list.elements().iter().filter_map(self::scalar).collect());
    [
        scalar("equals").map(Test::Equals),
        list("one_of").map(Test::OneOf),
        section.text("matches").and_then(|text| Whole::new(&text).ok()).map(Test::Matches),
        bound("at_most").map(Test::AtMost),
        bound("at_least").map(Test::AtLeast),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn scalar(node: &Node) -> Option<Scalar> {
    match &node.value {
        Value::Text(text) => Some(Scalar::Text(text.as_str().into())),
        Value::Bool(truth) => Some(Scalar::Truth(*truth)),
        _ => number(node).map(Scalar::Number),
    }
}

/// A number as JSON writes it.
fn number(node: &Node) -> Option<Box<str>> {
    match &node.value {
        Value::Integer(number) => Some(number.to_string().into()),
        Value::Decimal(text) => Some(text.trim_start_matches('+').into()),
        _ => None,
    }
}
