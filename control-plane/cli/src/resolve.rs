//! From what a person types to the one resource that is meant: an id, or a name.
//!
//! Owns the messages for names that match nothing or several things.

use crate::{
    client::{Doc, Extent, call::Call},
    context::{Context, Scope},
    error::{Error, Result},
};
use control_plane_api::{id::JobId, instance::Instance, job::Job};

/// The one item with this id or name.
pub fn by_name<'a, T>(
    what: &str,
    wanted: &str,
    items: &'a [T],
    keys: impl Fn(&T) -> (&String, String),
) -> Result<&'a T> {
    let matches: Vec<&T> = items.iter().filter(|item| keys(item).0 == wanted || keys(item).1 == wanted).collect();
    match matches.as_slice() {
        [one] => Ok(one),
        [] => Err(Error::NotFound {
            message: format!("there is no {what} {wanted:?}"),
            near: near(wanted, items.iter().map(|item| keys(item).0)),
        }),
        several => {
            let ids: Vec<_> = several.iter().map(|item| keys(item).1).collect();
            Err(Error::Usage(format!("{wanted:?} names several {what}s; use the id: {}", ids.join(", "))))
        }
    }
}

/// The server takes names and ids alike; what is not there is answered with what looks like it.
pub async fn instance(ctx: &Context, scope: &Scope, wanted: &str) -> Result<Doc<Instance>> {
    match ctx.client.fetch(&Call::get(scope.path(&["instances", wanted]))).await {
        Err(Error::Problem(problem)) if problem.status == 404 => {
            let call = Call::get(scope.path(&["instances"]));
            let all: Vec<Doc<Instance>> = ctx.client.list(call, Extent::All).await?;
            let names = all.iter().filter_map(|doc| doc.value["name"].as_str());
            let message = format!("there is no instance {wanted:?} in the project");
            Err(Error::NotFound { message, near: near(wanted, names) })
        }
        other => other,
    }
}

/// A job by its id, or the newest job of the instance with this name or id.
pub async fn job(ctx: &Context, scope: &Scope, wanted: &str) -> Result<Doc<Job>> {
    if wanted.parse::<JobId>().is_ok() {
        return ctx.client.fetch(&Call::get(scope.path(&["jobs", wanted]))).await;
    }
    let call = Call::get(scope.path(&["jobs"])).query("instance", wanted);
    let mut newest: Vec<Doc<Job>> = ctx.client.list(call, Extent::AtMost(1)).await?;
    newest.pop().ok_or_else(|| Error::NotFound {
        message: format!("{wanted:?} is no id of a job, and there is no job of an instance of this name"),
        near: Vec::new(),
    })
}

/// At most three names that the wanted one may be a slip of.
pub fn near<T: AsRef<str>>(wanted: &str, names: impl Iterator<Item = T>) -> Vec<String> {
    let lower = wanted.to_lowercase();
    // Two letters that changed places are two changes.
    let length = wanted.chars().count();
    let allowed = if length < 4 { 1 } else { (length / 3).max(2) };
    let mut close: Vec<(usize, String)> = names
        .filter_map(|name| {
            let name = name.as_ref();
            let other = name.to_lowercase();
            let part = other.contains(&lower) || (other.len() > 2 && lower.contains(&other));
            let distance = if part { 0 } else { distance(&lower, &other) };
            (distance <= allowed).then(|| (distance, name.to_owned()))
        })
        .collect();
    close.sort();
    close.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Insertions, deletions, substitutions between two texts (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, other) in to.iter().enumerate() {
            let substituted = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_answered_with_what_may_be_meant() {
        let names = ["orders", "payments", "orders-eu", "Audit"];
        for (wanted, meant) in [
            ("ordres", vec!["orders"]),
            ("order", vec!["orders", "orders-eu"]),
            ("audit", vec!["Audit"]),
            ("zebra", vec![]),
        ] {
            assert_eq!(near(wanted, names.iter()), meant, "{wanted}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
