//! An explanation for people.

use std::fmt;

use super::{Explanation, SteeringSteps};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} for {}", self.name, self.rtype, self.client)?;
        let said = match self.live {
            true => "a running name server's word, with the health that it sees",
            false => "the configuration's word: every edge counts as up",
        };
        writeln!(f, "  source    {said}")?;
        if let Some(zone) = &self.zone {
            writeln!(f, "  zone      {zone}")?;
        }
        for alias in &self.aliases {
            writeln!(f, "  alias     {alias}")?;
        }
        writeln!(f, "  end       {}", self.end)?;
        self.steering.as_ref().map_or(Ok(()), |steering| steering.fmt(f))
    }
}

impl fmt::Display for SteeringSteps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  site      {}", self.site)?;
        write!(f, "  client    placed by ")?;
        match (&*self.placed_by, &self.network) {
            ("network", Some(network)) => write!(f, "[[dns.network]] {network}")?,
            ("rule", _) => write!(f, "a [[dns.rule]]")?,
            ("geo", _) => write!(f, "the location database")?,
            _ => write!(f, "nothing: the default order")?,
        }
        match self.place {
            Some([latitude, longitude]) => writeln!(f, ", at {latitude:.1}, {longitude:.1}")?,
            None => writeln!(f)?,
        }
        for step in &self.edges {
            let km = step.km.map_or_else(String::new, |km| format!("{km} km"));
            let verdict = step
                .why_not
                .as_ref()
                .map_or_else(|| "answered".to_owned(), |why| format!("passed over: {why}"));
            writeln!(f, "  edge      {:<16} {km:>9}  {verdict}", step.edge)?;
        }
        if let Some(decision) = &self.decision {
            writeln!(f, "  decision  {decision}")?;
        }
        match self.answer.as_slice() {
            [] => writeln!(f, "  answer    nothing: no edge has such an address")?,
            answer => writeln!(f, "  answer    {}", answer.join(" "))?,
        }
        if let Some(ttl) = self.ttl {
            let why = if self.degraded { ", short because edges come and go" } else { "" };
            writeln!(f, "  ttl       {ttl} s{why}")?;
        }
        let Some(scope) = self.scope else { return Ok(()) };
        let why = if self.client_subnet { "" } else { ", since it is the resolver who is placed" };
        writeln!(f, "  scope     /{scope}{why}")
    }
}
