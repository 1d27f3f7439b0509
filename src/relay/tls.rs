//! What is said of TLS on both sides of a relay.

use crate::cli::{Error, Group, Opt, group};
use crate::tls::between::{Entry, Outward};
use crate::tls::material::Material;
use crate::tls::options::{Manners, Terms, Trust, Versions, Whom};

/// What is said of TLS.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Of clients.
    pub(super) terms: Terms,
    /// Of remotes.
    whom: Whom,
    wishes: Wishes,
}

/// Who speaks it.
#[derive(Clone, Debug, Default)]
struct Wishes {
    /// Clients: all, or those who begin with it.
    clients: Option<Clients>,
    /// All remotes.
    remotes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Clients {
    All,
    WhoBegin,
}

impl Wishes {
    const OPTIONS: &'static [Opt<Self>] = &[
        Opt::flag("tls", "speak TLS with clients", |wishes| {
            wishes.clients = Some(Clients::All);
        }),
        Opt::flag(
            "tls=detect",
            "speak TLS with clients whose first byte is that of TLS, and let others be",
            |wishes| wishes.clients = Some(Clients::WhoBegin),
        ),
        Opt::flag(
            "remote-tls",
            "speak TLS with all remotes, as with tls: before each",
            |wishes| wishes.remotes = true,
        ),
    ];
}

/// Options of [`Manners`] that only a relay has, or has other words for.
const MANNERS: &[Opt<Manners>] = &[
    Opt::value(
        "alpn",
        "protocols",
        "agree with clients on one of these, joined by commas, and offer it to the remote",
        |manners, value| {
            manners.protocols = value.parse("names, joined by commas", protocols)?;
            Ok(())
        },
    ),
    Opt::value(
        "tls-timeout",
        "seconds",
        "give a client or a remote this long for the handshake (default 26)",
        |manners, value| {
            manners.patience = value.seconds()?;
            Ok(())
        },
    ),
];

/// Names of protocols, each of 1 to 255 bytes. RFC 7301 section 3.1
fn protocols(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let all = text.split(|&byte| byte == b',');
    all.map(|name| (1..=255).contains(&name.len()).then(|| name.to_vec()))
        .collect()
}

impl Tls {
    /// Has `read` read a command line that has the options for it.
    pub fn read<T>(&mut self, read: impl FnOnce(&mut dyn Group) -> T) -> T {
        let mut wishes = group(&[Wishes::OPTIONS], &mut self.wishes);
        let material = &mut self.terms.material;
        let mut material = group(&[Material::OPTIONS, Material::FOLDER], material);
        let mut manners = group(&[Manners::CLIENTS, MANNERS], &mut self.terms.manners);
        let mut versions = group(&[Versions::OPTIONS], &mut self.terms.versions);
        let mut whom = group(&[Whom::OF_SEVERAL], &mut self.whom);
        let groups: &mut [&mut dyn Group; 5] = &mut [
            &mut wishes,
            &mut material,
            &mut manners,
            &mut versions,
            &mut whom,
        ];
        read(groups)
    }

    /// Clients are shown `material`.
    pub(super) fn showing(material: Material) -> Self {
        Self {
            terms: Terms {
                material,
                ..Terms::default()
            },
            ..Self::default()
        }
    }

    /// How clients come in.
    ///
    /// # Errors
    /// Usage, 100: what is said of clients says too little, or is of no use without TLS.
    pub(super) fn entry(&self) -> Result<Entry, Error> {
        let Terms {
            material,
            versions,
            manners,
        } = &self.terms;
        let entry = match self.wishes.clients {
            None => {
                let is_said = !material.is_empty()
                    || manners.client_ca.is_some()
                    || manners.client_ca_optional
                    || !manners.protocols.is_empty();
                return if is_said {
                    let text = "certificates, --client-ca and --alpn need --tls";
                    Err(Error::operand(text))
                } else {
                    Ok(Entry::Plain)
                };
            }
            Some(Clients::All) => Entry::Tls(*versions),
            Some(Clients::WhoBegin)
                if manners.client_ca.is_some() && !manners.client_ca_optional =>
            {
                return Err(Error::operand(
                    "--tls=detect takes clients without a certificate: --client-ca-optional",
                ));
            }
            Some(Clients::WhoBegin) => Entry::Either(*versions),
        };
        self.terms.check()?;
        Ok(entry)
    }

    /// True when all remotes speak it.
    pub(super) fn is_for_remotes(&self) -> bool {
        self.wishes.remotes
    }

    /// The side of remotes.
    pub(super) fn outward(&self) -> Outward {
        let trust = Trust {
            versions: self.terms.versions,
            whom: self.whom.clone(),
            ..Trust::default()
        };
        Outward::new(trust, self.terms.manners.patience)
    }

    /// True when remotes may be anybody.
    pub(super) fn trusts_everybody(&self) -> bool {
        self.whom.no_verify
    }
}
