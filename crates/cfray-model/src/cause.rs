//! The names of causes and families: fixed, other programs read them.

use serde::{Serialize, Serializer};
use std::fmt;
use std::sync::{Mutex, PoisonError};

macro_rules! causes {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, $family:ident; )*) => {
        /// A root cause, or for other statuses the documented meaning of the status.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Cause {
            $( $(#[$doc])* $variant, )*
            /// One that the user's configuration defines.
            Own(&'static OwnCause),
        }

        impl Cause {
            /// Every built-in cause, in the order in which they are documented.
            pub const ALL: &'static [Cause] = &[ $( Cause::$variant, )* ];

            /// The fixed name, such as `keepalive-race`.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Cause::$variant => $name, )*
                    Cause::Own(own) => own.name,
                }
            }

            /// The family the cause belongs to.
            pub const fn family(self) -> Family {
                match self {
                    $( Cause::$variant => Family::$family, )*
                    Cause::Own(own) => own.family,
                }
            }
        }
    };
}

causes! {
    /// A server, mod_php or FPM process died on a signal.
    WorkerCrash = "worker-crash", OriginCrash;
    /// The kernel killed the process for memory.
    OomKill = "oom-kill", OriginCrash;
    /// Workers or connections used up.
    PoolExhausted = "pool-exhausted", OriginCrash;
    /// A worker was ended for running too long.
    TimeoutKill = "timeout-kill", OriginCrash;
    /// A stop, ungraceful restart or kill cut the request off.
    ServerRestart = "server-restart", OriginCrash;
    /// The server aborted before the first byte: disk full, temp directory, allocation.
    ServerIo = "server-io", OriginCrash;
    /// Application fatal error or memory limit.
    AppFatal = "app-fatal", OriginCrash;
    /// The same, and the failing code is a plugin or middleware.
    PluginFault = "plugin-fault", Plugin;
    /// A security layer refuses Cloudflare's own addresses.
    EdgeIpBlocked = "edge-ip-blocked", Blocked;
    /// The origin silently drops particular visitors.
    ClientBlocked = "client-blocked", Blocked;
    /// Another origin rule closed without answering.
    RuleDropped = "rule-dropped", Blocked;
    /// A per-client limit hit Cloudflare because visitors' addresses are not restored.
    Throttled = "throttled", Blocked;
    /// Response headers over Cloudflare's limit.
    HeadersTooLarge = "headers-too-large", Headers;
    /// The origin closed the idle connection Cloudflare was reusing.
    KeepaliveRace = "keepalive-race", Keepalive;
    /// The application sent nothing, or something that is not HTTP.
    MalformedResponse = "malformed-response", Malformed;
    /// The backend closed and the web server passed the close on.
    BackendClosed = "backend-closed", Malformed;
    /// The listener expects PROXY protocol.
    ProxyProtocol = "proxy-protocol", Malformed;
    /// The origin took HTTP/2 and could not speak it.
    Http2Fault = "http2-fault", Http2;
    /// The origin dropped the connection over the request itself.
    RequestRejected = "request-rejected", Request;
    /// Client certificate (Authenticated Origin Pulls) refused after the handshake.
    OriginPullRejected = "origin-pull-rejected", OriginPull;
    /// OriginIP is not the server these logs are from.
    WrongOrigin = "wrong-origin", Dns;
    /// Cloudflare's side.
    EdgeIncident = "edge-incident", Edge;
    /// The origin, or an inner Cloudflare zone, answered 520 itself.
    Origin520 = "origin-520", Edge;
    /// The logs cannot tell.
    Unknown = "unknown", Unknown;
    /// 521.
    OriginRefused = "origin-refused", Neighbour;
    /// 522.
    ConnectTimeout = "connect-timeout", Neighbour;
    /// 523.
    OriginUnreachable = "origin-unreachable", Neighbour;
    /// 524.
    ResponseTimeout = "response-timeout", Neighbour;
    /// 525.
    TlsHandshake = "tls-handshake", Neighbour;
    /// 526.
    TlsCertificate = "tls-certificate", Neighbour;
    /// 527.
    Railgun = "railgun", Neighbour;
    /// 530.
    OriginDns = "origin-dns", Neighbour;
}

/// A cause that the user's configuration defines. The configuration is read once in a run, so its few texts
/// live as long as the process: a cause stays a small value that is copied, like the built-in ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnCause {
    /// Name; none of the built-in ones.
    pub name: &'static str,
    /// The family it is counted under.
    pub family: Family,
    /// What it says, one sentence.
    pub says: &'static str,
    /// Which lines prove it, one sentence.
    pub evidence: &'static str,
    /// What to do.
    pub to_do: &'static str,
}

/// Causes of the user's, as they were made.
static OWN: Mutex<Vec<&'static OwnCause>> = Mutex::new(Vec::new());

impl crate::shelf::Pack for Cause {
    fn pack<'t>(&'t self, out: &mut crate::shelf::Packer<'t>) {
        out.number(self.number().into());
    }
    fn unpack(from: &mut crate::shelf::Unpack<'_>) -> Self {
        Self::from_number(u16::unpack(from))
    }
}

impl Cause {
    /// Makes a cause of the user's. See [`OwnCause`] for the texts.
    pub fn own(name: &str, family: Family, says: &str, evidence: &str, to_do: &str) -> Self {
        let keep = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
        let made: &'static OwnCause =
            Box::leak(Box::new(OwnCause { name: keep(name), family, says: keep(says), evidence: keep(evidence), to_do: keep(to_do) }));
        let mut known = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        // Two that are equal in everything are one.
        let one = known.iter().copied().find(|known| *known == made).unwrap_or(made);
        if std::ptr::eq(one, made) {
            known.push(made);
        }
        Self::Own(one)
    }

    /// A number for the cause, for as long as the process lives: where there are millions of them.
    pub fn number(self) -> u16 {
        let built_in = Self::ALL.len();
        let place = match self {
            Self::Own(own) => {
                let known = OWN.lock().unwrap_or_else(PoisonError::into_inner);
                built_in + known.iter().position(|k| *k == own).unwrap_or(usize::from(u16::MAX))
            }
            known => Self::ALL.iter().position(|c| *c == known).unwrap_or_default(),
        };
        u16::try_from(place).unwrap_or(u16::MAX)
    }

    /// The cause with the number; [`Cause::Unknown`] where there is none.
    pub fn from_number(number: u16) -> Self {
        let place = usize::from(number);
        let own = || OWN.lock().unwrap_or_else(PoisonError::into_inner).get(place - Self::ALL.len()).copied();
        Self::ALL.get(place).copied().or_else(|| own().map(Self::Own)).unwrap_or(Self::Unknown)
    }

    /// Looks the fixed name of a built-in cause up.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.name() == name)
    }

    /// The cause that a status other than 520 stands for by itself.
    pub const fn of_status(status: u16) -> Option<Self> {
        Some(match status {
            521 => Self::OriginRefused,
            522 => Self::ConnectTimeout,
            523 => Self::OriginUnreachable,
            524 => Self::ResponseTimeout,
            525 => Self::TlsHandshake,
            526 => Self::TlsCertificate,
            527 => Self::Railgun,
            530 => Self::OriginDns,
            _ => return None,
        })
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Cause {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

macro_rules! families {
    ($( $variant:ident = $name:literal, $title:literal; )*) => {
        /// Groups of causes: the eight documented root causes of a 520 and a few of our own.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Family { $( #[doc = $title] $variant, )* }

        impl Family {
            /// Every family.
            pub const ALL: &'static [Family] = &[ $( Family::$variant, )* ];

            /// The fixed name.
            pub const fn name(self) -> &'static str {
                match self { $( Family::$variant => $name, )* }
            }

            /// A heading for people.
            pub const fn title(self) -> &'static str {
                match self { $( Family::$variant => $title, )* }
            }
        }
    };
}

families! {
    OriginCrash = "origin-crash", "The origin crashed or was stopped";
    Blocked = "blocked", "The origin refused or dropped the request";
    Headers = "headers", "Response headers too large";
    Keepalive = "keepalive", "Idle connection closed under a request";
    Malformed = "malformed", "Empty or malformed response";
    Http2 = "http2", "HTTP/2 to the origin";
    OriginPull = "origin-pull", "Authenticated Origin Pulls";
    Plugin = "plugin", "Plugin or middleware";
    Request = "request", "The request itself";
    Dns = "dns", "DNS points to another server";
    Edge = "edge", "Cloudflare's side";
    Unknown = "unknown", "The logs cannot tell";
    Neighbour = "neighbour", "Another 52x status";
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Family {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for (i, cause) in Cause::ALL.iter().enumerate() {
            assert_eq!(Cause::from_name(cause.name()), Some(*cause));
            assert!(Cause::ALL[..i].iter().all(|c| c.name() != cause.name()));
        }
    }
}
