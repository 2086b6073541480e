//! `toolgate server remove`: a server's file goes, and its sessions and instances with it.

use serde_json::json;
use toolgate_admin_api::Exit;

use super::table::only_server;
use crate::args::ServerRemove;
use crate::commands::{Context, takeover};
use crate::edit::{Change, Place};
use crate::failure::Failure;
use crate::output;

/// Removes the file of a server that has one of its own.
pub(super) async fn run(context: &Context, remove: &ServerRemove) -> Result<Exit, Failure> {
    let place = Place::find(&context.runtime_dir, remove.edit.config.as_deref()).await?;
    let _lock = if remove.edit.dry_run { None } else { Some(place.lock().await?) };
    let before = place.read()?;
    let name = &remove.name;
    let path = place.drop_in(name);
    let shown = path.display();
    let Some(file) = before.iter().find(|file| file.name == format!("conf.d/{name}.toml")) else {
        return Err(Failure::new(Exit::Failed, format!("There is no {shown}."))
            .remedy(format!("A server that stands in another file is removed by hand: its table [server.{name}].")));
    };
    let root: toml::Table = file.text.parse().unwrap_or_default();
    if only_server(&root) != Some(name) {
        return Err(Failure::new(Exit::Failed, format!("{shown} holds other things than [server.{name}]."))
            .remedy("Remove its table by hand, then run `toolgate config reload`."));
    }
    if remove.edit.dry_run {
        if context.json {
            output::json(&json!({ "file": path }));
        } else {
            output::line(&format!("{shown} would be removed."));
        }
        return Ok(Exit::Done);
    }
    let mut change = Change::default();
    change.remove(&path)?;
    let taken = takeover::run(context, &place, &before, change, &format!("server remove {name}")).await?;
    if context.json {
        output::json(&json!({ "file": path, "reload": taken.reload }));
        return Ok(Exit::Done);
    }
    output::line(&format!("{shown} is removed; `toolgate config rollback` brings it back."));
    taken.print();
    Ok(Exit::Done)
}
