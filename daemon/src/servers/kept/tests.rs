use super::*;

#[test]
fn a_server_is_greeted_in_the_client_s_name() {
    let holder = Holder {
        client: "key:ann",
        capabilities: br#"{"elicitation":{}}"#,
        info: Some(br#"{"name":"a","version":"1"}"#),
    };
    let message = initialize(&holder);
    assert_eq!(message.raw(message.envelope.initialize_capabilities), Some(&br#"{"elicitation":{}}"#[..]));
    assert_eq!(message.raw(message.envelope.initialize_client), Some(&br#"{"name":"a","version":"1"}"#[..]));
    let unnamed = initialize(&Holder { info: None, ..holder });
    assert!(unnamed.raw(unnamed.envelope.initialize_client).unwrap().starts_with(br#"{"name":"toolgate""#));
}

#[test]
fn a_client_s_unused_session_gives_way_and_nobody_else_s() {
    let sessions = KeptSessions::default();
    let owner = |client: &str, number: usize| Owner {
        client: client.to_owned(),
        capabilities: number.to_string().into_bytes(),
    };
    sessions.opening(&owner("bob", 0)).unwrap();
    let mut held: Vec<_> = (0..PER_CLIENT).map(|number| sessions.opening(&owner("ann", number)).unwrap()).collect();
    assert_eq!(sessions.opening(&owner("ann", 99)).unwrap_err().kind, Kind::NoRoom);
    held.pop();
    assert!(sessions.opening(&owner("ann", 99)).is_ok());
    let all = lock(&sessions.all);
    assert!(all.contains_key(&owner("bob", 0)) && !all.contains_key(&owner("ann", PER_CLIENT - 1)));
}
