//! What the wrapper takes from itself, and so from the command, before it starts it.
//!
//! `instance` calls it once, on its only thread: these limits belong to the thread and to what it
//! starts. Under systemd the unit confines more; none of this is ever given back.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus, Scope,
};
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal, setrlimit,
};
use rustix::thread::set_no_new_privs;

use super::InstanceArgs;

/// The newest interface that is asked for; an older kernel grants what it knows.
const LANDLOCK: ABI = ABI::V6;

/// Where programs, libraries and the machine's settings are: readable for every command. (What is
/// in `/etc/resolv.conf` is often in the folder of systemd's resolver.)
const SYSTEM: [&str; 10] =
    ["/bin", "/etc", "/lib", "/lib64", "/opt", "/proc", "/run/systemd/resolve", "/sbin", "/sys", "/usr"];

/// Devices that any program may expect to read and write.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The error is a sentence.
pub(super) fn apply(args: &InstanceArgs) -> Result<(), String> {
    if let Some(folder) = &args.cgroup {
        join(folder)?;
    }
    // From here on, orphans among the command's descendants become our children.
    set_child_subreaper(Some(getpid()))
        .map_err(|e| format!("cannot become the reaper of the command's processes: {e}"))?;
    if let Some(keeper) = args.keeper {
        follow(keeper)?;
    }
    // A core file would hold the secrets of the environment.
    limit(Resource::Core, 0)?;
    if let Some(bytes) = args.memory {
        limit(Resource::Data, bytes)?;
    }
    set_no_new_privs(true).map_err(|e| format!("cannot give up new privileges: {e}"))?;
    landlock(args)
}

fn join(folder: &Path) -> Result<(), String> {
    fs::write(folder.join("cgroup.procs"), "0")
        .map_err(|e| format!("cannot join the control group {}: {e}", folder.display()))
}

/// Asks for SIGTERM at the keeper's end, which may have been before.
fn follow(keeper: i32) -> Result<(), String> {
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|e| format!("cannot follow the keeper: {e}"))?;
    if getppid() == Pid::from_raw(keeper) { Ok(()) } else { Err("the keeper has ended".to_owned()) }
}

fn limit(resource: Resource, most: u64) -> Result<(), String> {
    setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
        .map_err(|e| format!("cannot limit {resource:?} to {most}: {e}"))
}

/// No command may signal a process outside its instance: not the keeper, not another server of
/// the same user. File access is confined where paths were configured.
fn landlock(args: &InstanceArgs) -> Result<(), String> {
    let confine_files = !args.read.is_empty() || !args.write.is_empty();
    let failed = |e: landlock::RulesetError| format!("cannot confine the command with Landlock: {e}");
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::BestEffort).scope(Scope::Signal).map_err(failed)?;
    if confine_files {
        ruleset = ruleset.handle_access(AccessFs::from_all(LANDLOCK)).map_err(failed)?;
    }
    let mut created = ruleset.create().map_err(failed)?;
    if confine_files {
        let everywhere = SYSTEM
            .iter()
            .map(Path::new)
            .chain(args.command.first().map(Path::new).filter(|program| program.is_absolute()));
        for path in everywhere.filter(|path| path.exists()).chain(args.read.iter().map(PathBuf::as_path)) {
            created = created.add_rule(beneath(path, AccessFs::from_read(LANDLOCK))?).map_err(failed)?;
        }
        let devices = DEVICES.iter().map(Path::new).filter(|path| path.exists());
        for path in devices.chain(args.write.iter().map(PathBuf::as_path)) {
            created = created.add_rule(beneath(path, AccessFs::from_all(LANDLOCK))?).map_err(failed)?;
        }
    }
    let status = created.restrict_self().map_err(failed)?;
    if confine_files && status.ruleset == RulesetStatus::NotEnforced {
        return Err("file access was to be confined, but there is no Landlock here: use a kernel that has it, allow it where a container hides it, or remove `read` and `write`".to_owned());
    }
    Ok(())
}

fn beneath(path: &Path, access: landlock::BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, String> {
    let folder = PathFd::new(path).map_err(|e| format!("cannot confine the command to {}: {e}", path.display()))?;
    // Rights that only folders have would be refused for a file.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(LANDLOCK) };
    Ok(PathBeneath::new(folder, access))
}
