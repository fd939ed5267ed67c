//! Apache: settings in order, with the sections around them and the conditions they stand under.

use cfray_model::serverconf::{ConfTree, Directive, Software};
use std::collections::BTreeSet;

/// A directive that is or may be in force.
#[derive(Clone, Debug)]
pub struct Setting<'t> {
    /// It.
    pub d: &'t Directive,
    /// Sections around it that are no conditions: `VirtualHost`, `Directory`, ...
    pub around: Vec<&'t Directive>,
    /// A condition that cannot be decided from the files: `<IfVersion >= 2.4>`.
    pub maybe: Option<String>,
}

/// Virtual hosts and all settings.
#[derive(Clone, Debug, Default)]
pub struct View<'t> {
    /// In order of reading.
    pub all: Vec<Setting<'t>>,
    /// `<VirtualHost>` sections.
    pub hosts: Vec<&'t Directive>,
    /// Processing model, if the files tell: `prefork`, `worker`, `event`.
    pub mpm: Option<&'static str>,
    /// Modules loaded, by short name.
    pub modules: BTreeSet<String>,
}

/// Modules that packages build into the server.
const STATIC: &[&str] = &["core", "so", "http", "unixd", "log_config", "logio", "version", "watchdog"];

/// `mod_ssl.c`, `ssl_module`, `mpm_event_module`, `prefork.c` to `ssl`, `event`, `prefork`.
fn short(module: &str) -> String {
    let name = module.trim_start_matches('!').to_ascii_lowercase();
    let name = name.strip_prefix("mod_").unwrap_or(&name);
    let name = name.strip_suffix(".c").or_else(|| name.strip_suffix("_module")).unwrap_or(name);
    name.strip_prefix("mpm_").unwrap_or(name).to_owned()
}

struct Walk<'t> {
    view: View<'t>,
    /// The files load modules at all, so that one they do not load is not there.
    loads: bool,
    defines: BTreeSet<String>,
}

impl<'t> View<'t> {
    /// Looks at a configuration; empty for other software.
    pub fn of(tree: &'t ConfTree) -> Self {
        if tree.software != Software::Apache {
            return Self::default();
        }
        let mut walk = Walk { view: Self::default(), loads: loads(&tree.directives), defines: BTreeSet::new() };
        walk.list(&tree.directives, &mut Vec::new(), None);
        let mut view = walk.view;
        view.mpm = ["prefork", "worker", "event"].into_iter().find(|m| view.modules.contains(*m));
        view
    }

    /// The setting that holds in a virtual host (`None`: outside of them): its own, else the main server's.
    pub fn last(&self, host: Option<&'t Directive>, name: &str) -> Option<&Setting<'t>> {
        let own = |s: &&Setting<'t>, host: Option<&'t Directive>| {
            s.d.is(name)
                && match (host, s.around.as_slice()) {
                    (None, []) => true,
                    (Some(host), [around]) => std::ptr::eq(host, *around),
                    _ => false,
                }
        };
        let in_host = host.and_then(|_| self.all.iter().rev().find(|s| own(s, host)));
        in_host.or_else(|| self.all.iter().rev().find(|s| own(s, None)))
    }

    /// All settings of a name.
    pub fn each<'v>(&'v self, name: &'v str) -> impl Iterator<Item = &'v Setting<'t>> {
        self.all.iter().filter(move |s| s.d.is(name))
    }

    /// Names of a virtual host.
    pub fn names(&self, host: &'t Directive) -> Vec<String> {
        self.all
            .iter()
            .filter(|s| s.around.first().is_some_and(|a| std::ptr::eq(*a, host)) && (s.d.is("ServerName") || s.d.is("ServerAlias")))
            .flat_map(|s| s.d.args.iter())
            .map(|n| n.split(':').next().unwrap_or(n).to_owned())
            .collect()
    }
}

fn loads(list: &[Directive]) -> bool {
    list.iter().any(|d| d.is("LoadModule") || loads(d.inside()))
}

impl<'t> Walk<'t> {
    fn list(&mut self, list: &'t [Directive], around: &mut Vec<&'t Directive>, maybe: Option<&str>) {
        for d in list {
            if d.block.is_none() {
                if d.is("LoadModule") {
                    self.view.modules.insert(short(d.arg()));
                } else if d.is("Define") {
                    self.defines.insert(d.arg().to_owned());
                } else if d.is("UnDefine") {
                    self.defines.remove(d.arg());
                }
                self.view.all.push(Setting { d, around: around.clone(), maybe: maybe.map(ToOwned::to_owned) });
                continue;
            }
            match self.condition(d) {
                Some(Some(true)) => self.list(d.inside(), around, maybe),
                Some(Some(false)) => {}
                Some(None) => {
                    let text = format!("<{} {}>", d.name, d.args.join(" "));
                    self.list(d.inside(), around, Some(maybe.unwrap_or(&text)));
                }
                None => {
                    if d.is("VirtualHost") {
                        self.view.hosts.push(d);
                    }
                    around.push(d);
                    self.list(d.inside(), around, maybe);
                    around.pop();
                }
            }
        }
    }

    /// `None`: no condition. `Some(None)`: cannot be decided here.
    fn condition(&self, d: &Directive) -> Option<Option<bool>> {
        let not = d.arg().starts_with('!');
        let decide = |known: Option<bool>| Some(known.map(|k| k != not));
        if d.is("IfModule") {
            let name = short(d.arg());
            let here = self.view.modules.contains(&name) || STATIC.contains(&name.as_str());
            return decide(if here {
                Some(true)
            } else if self.loads {
                Some(false)
            } else {
                None
            });
        }
        if d.is("IfDefine") {
            // What is given on the command line (-D) is not known.
            return decide(self.defines.contains(d.arg().trim_start_matches('!')).then_some(true));
        }
        let open = ["IfVersion", "If", "ElseIf", "Else", "IfFile", "IfDirective", "IfSection"];
        open.iter().any(|n| d.is(n)).then_some(None)
    }
}

impl Setting<'_> {
    /// The condition in words, to be put behind a value.
    pub fn condition(&self) -> String {
        self.maybe.as_ref().map_or(String::new(), |m| format!(", if {m} holds"))
    }

    /// The first section around it of a name.
    pub fn section(&self, name: &str) -> Option<&Directive> {
        self.around.iter().copied().find(|d| d.is(name))
    }

    /// Where it stands, for people.
    pub fn place(&self) -> String {
        let parts: Vec<String> = self.around.iter().map(|d| format!("<{} {}>", d.name, d.args.join(" "))).collect();
        if parts.is_empty() { "main server".to_owned() } else { parts.join(" ") }
    }
}
