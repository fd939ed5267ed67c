//! nginx: servers and the values that hold in them.

use cfray_model::serverconf::{ConfTree, Directive, Software};

/// One `server {}` with the levels around it, outermost first.
#[derive(Clone, Debug)]
pub struct Server<'t> {
    /// Contents of main, http, server.
    pub levels: Vec<&'t [Directive]>,
    /// The block.
    pub block: &'t Directive,
    /// Its names; `_` and empty ones left out.
    pub names: Vec<String>,
    /// It answers for hosts that no server names.
    pub default: bool,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct View<'t> {
    /// Servers of `http {}` (or at the top of a fragment).
    pub servers: Vec<Server<'t>>,
    /// Contents of main and http: what holds outside of servers.
    pub http: Vec<&'t [Directive]>,
    /// Every directive with the blocks around it, in order.
    pub all: Vec<(Vec<&'t Directive>, &'t Directive)>,
}

impl<'t> View<'t> {
    /// Looks at a configuration; empty for other software.
    pub fn of(tree: &'t ConfTree) -> Self {
        let mut view = Self::default();
        if tree.software != Software::Nginx {
            return view;
        }
        let top = tree.directives.as_slice();
        walk(top, &mut Vec::new(), &mut view.all);
        view.http = vec![top];
        for http in top.iter().filter(|d| d.name == "http" && d.block.is_some()) {
            view.http.push(http.inside());
        }
        for (around, d) in &view.all {
            let http = match around.as_slice() {
                [] => None,
                [http] if http.name == "http" => Some(*http),
                _ => continue,
            };
            if d.name != "server" || d.block.is_none() {
                continue;
            }
            let mut levels = vec![top];
            levels.extend(http.map(Directive::inside));
            levels.push(d.inside());
            let listens = || d.inside().iter().filter(|d| d.name == "listen");
            let names = d.inside().iter().filter(|d| d.name == "server_name").flat_map(|d| d.args.iter());
            view.servers.push(Server {
                levels,
                block: d,
                names: names.filter(|n| !n.is_empty() && *n != "_").cloned().collect(),
                default: listens().any(|l| l.args.iter().any(|a| a == "default_server" || a == "default")),
            });
        }
        view
    }
}

fn walk<'t>(list: &'t [Directive], around: &mut Vec<&'t Directive>, out: &mut Vec<(Vec<&'t Directive>, &'t Directive)>) {
    for d in list {
        // Entries of maps and lists are no directives.
        if around.last().is_some_and(|a| matches!(a.name.as_str(), "geo" | "map" | "types" | "split_clients")) {
            continue;
        }
        out.push((around.clone(), d));
        if d.block.is_some() {
            around.push(d);
            walk(d.inside(), around, out);
            around.pop();
        }
    }
}

impl<'t> Server<'t> {
    /// The directive that holds in the server: its own, else that of the level around it.
    pub fn last(&self, name: &str) -> Option<&'t Directive> {
        self.levels.iter().rev().find_map(|level| level.iter().rfind(|d| d.name == name))
    }

    /// All of a directive that may stand several times: those of the innermost level that has any.
    pub fn each(&self, name: &str) -> Vec<&'t Directive> {
        self.levels
            .iter()
            .rev()
            .map(|level| level.iter().filter(|d| d.name == name).collect::<Vec<_>>())
            .find(|list| !list.is_empty())
            .unwrap_or_default()
    }

    /// `server shop.example.com`, for people.
    pub fn title(&self) -> String {
        match self.names.first() {
            Some(name) => format!("server {name}"),
            None if self.default => "the default server".to_owned(),
            None => format!("the server without a name (line {})", self.block.line),
        }
    }

    /// Listens with HTTP/2?
    pub fn http2(&self) -> bool {
        self.last("http2").is_some_and(|d| d.arg() == "on")
            || self.block.inside().iter().any(|d| d.name == "listen" && d.args.iter().any(|a| a == "http2"))
    }

    /// Listens on an IPv6 address?
    pub fn ipv6(&self) -> bool {
        self.block.inside().iter().any(|d| d.name == "listen" && d.arg().starts_with('['))
    }
}

/// The server block among the blocks around a directive.
pub fn server_of<'t, 'v>(view: &'v View<'t>, around: &[&'t Directive]) -> Option<&'v Server<'t>> {
    let block = around.iter().find(|d| d.name == "server")?;
    view.servers.iter().find(|s| std::ptr::eq(s.block, *block))
}

/// Where a directive stands, for people: `server shop.example.com, location /api`.
pub fn place<'t>(view: &View<'t>, around: &[&'t Directive]) -> String {
    let mut parts: Vec<String> = server_of(view, around).map(Server::title).into_iter().collect();
    parts.extend(
        around
            .iter()
            .filter(|d| matches!(d.name.as_str(), "location" | "if"))
            .map(|d| if d.args.is_empty() { d.name.clone() } else { format!("{} {}", d.name, d.args.join(" ")) }),
    );
    if parts.is_empty() {
        parts.push(around.last().map_or("main", |d| d.name.as_str()).to_owned());
    }
    parts.join(", ")
}
