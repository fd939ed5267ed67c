//! The application failed, and the failing code is a plugin, theme or middleware.

use crate::chain;
use crate::doc::{CauseDoc, Fix};
use crate::rule::{Case, Finding, sentence};
use cfray_model::{Cause, EvidenceKind};

/// What a person may read about `plugin-fault`.
pub static DOC: CauseDoc = CauseDoc {
    cause: Cause::PluginFault,
    says: "A plugin or add-on of the application failed, and the server closed the connection instead of sending an error page.",
    why: "The same chain as app-fatal or a crash (an error in the application, and a server that closes where it should answer 500), \
        but the code that failed was added to the application and is not its core, so the fix is to update or remove that part.",
    evidence: "What app-fatal or the crash needs, and the deepest frame outside the framework's core lies under wp-content/plugins, \
        mu-plugins, themes, modules or middleware. A memory limit reached in a plugin's line is weaker: memory may have been used up \
        elsewhere, so app-fatal is the runner-up.",
    not_when: "The deepest frame is in the core or in the site's own code. The plugin appears only further up the stack. The fatal \
        got a valid 500.",
    fix: Fix {
        owner: "Update the plugin named in the evidence; if it goes on, switch it off (in WordPress under Plugins, or by renaming its \
            folder over SFTP) and see whether the 520s stop. Send its maker the fatal line.",
        admin: "`wp plugin deactivate NAME --skip-plugins --skip-themes` switches one off even when the dashboard fails; go back to \
            the version before with `wp plugin install NAME --version=X --force`. Take a backup first. Then let fatals be answered: \
            `error_page 500 502 503 504 /50x.html;` where `return 444` stands now.",
        developer: "Read the stack from the bottom of the plugin's frames: which call got what it did not expect? Check against the \
            PHP version in use, and report it with file, line and version.",
        client: "Retrying the same page does not help. Other pages of the site may work, as not every page runs the plugin. Report \
            the ray ID.",
    },
    check: "Switch only that plugin off for ten minutes (on a copy if you can), and ask for the failing address: `curl -sS -o \
        /dev/null -w '%{http_code}\\n' --http1.1 --resolve HOST:443:ORIGIN_IP https://HOST/PATH` (`-k` with a Cloudflare origin \
        certificate). A valid status now: the plugin. The same empty reply: app-fatal.",
    often_blamed: "The plugin that happens to be named in a memory-limit line: the line shows who asked for the last bytes, not who \
        used the rest. And a plugin's fatal alone is a valid 500 (measured), not a 520.",
    sources: &[
        "developers.cloudflare.com, page \"Error 520\", updated 2026-06-16",
        "php/php-src main/main.c",
        "measured: Debian 12, nginx 1.22.1, Apache 2.4, PHP and PHP-FPM 8.2, ModSecurity 2.9.7, haproxy 2.6",
    ],
};

/// A fatal error whose deepest frame outside the framework's core lies in a plugin, theme or middleware.
pub fn check(c: &Case<'_>) -> Option<Finding> {
    let fatal = chain::php_fatal(c)?;
    let plugin = fatal.plugin.clone()?;
    let score = if fatal.memory { fatal.score * 0.75 } else { fatal.score };
    let mut f = Finding::new(DOC.cause, score, fatal.tie).with(c.line(fatal.ev)).with_all(c.access_line());
    f = f.with(sentence(EvidenceKind::Field, format!("the failing code is {plugin}")));
    if fatal.memory {
        f = f.or_else(Cause::AppFatal, 0.3);
    }
    Some(f)
}
