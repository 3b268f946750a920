//! What a Kafka Streams group reads and keeps, and which topics its coordinator would make for it. Pure.
//!
//! Kafka decides how many partitions internal topics have (org.apache.kafka.coordinator.group.streams.topics): as many as the
//! largest source of whoever writes to them, but what is read together must have as many as each other. [`Topology::wants`]
//! comes to the same numbers, or to larger ones where Kafka's depend on an order that nobody is told.

use super::record::Want;
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Topology {
    /// The coordinator keeps the newest.
    pub(in crate::gateway) epoch: i32,
    pub(in crate::gateway) parts: Vec<Part>,
}

/// A subtopology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Part {
    /// Topics that somebody else makes.
    pub(in crate::gateway) sources: Vec<String>,
    /// Repartition topics that it writes to.
    pub(in crate::gateway) sinks: Vec<String>,
    /// Repartition topics that it reads.
    pub(in crate::gateway) repartitions: Vec<InternalTopic>,
    pub(in crate::gateway) changelogs: Vec<InternalTopic>,
    /// What must have the same number of partitions. `None` where that is not told.
    pub(in crate::gateway) copartitioned: Option<Vec<Together>>,
}

/// Topics that a subtopology reads together, by their places in its lists: they may be told any number of times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Together {
    pub(in crate::gateway) sources: Vec<u16>,
    pub(in crate::gateway) repartitions: Vec<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::gateway) struct InternalTopic {
    pub(in crate::gateway) name: String,
    /// 0 leaves it to the coordinator.
    pub(in crate::gateway) partitions: u32,
}

impl Part {
    /// All that it reads.
    fn inputs(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().map(String::as_str).chain(self.repartitions.iter().map(|topic| topic.name.as_str()))
    }

    /// Names of what is read together. Places where nothing is are passed over.
    fn named(&self, together: &Together) -> impl Iterator<Item = &str> {
        let sources = together.sources.iter().filter_map(|at| self.sources.get(usize::from(*at)));
        let repartitions = together.repartitions.iter().filter_map(|at| self.repartitions.get(usize::from(*at)));
        sources.map(String::as_str).chain(repartitions.map(|topic| topic.name.as_str()))
    }

    fn size(&self) -> usize {
        /// Beside its letters a name takes this, and the least that is allocated for them.
        const NAME: usize = size_of::<InternalTopic>() + 16;
        let internal = self.repartitions.iter().chain(&self.changelogs).map(|topic| &topic.name);
        let names = self.sources.iter().chain(&self.sinks).chain(internal).map(|name| NAME + name.len());
        let places = |together: &Together| 2 * (together.sources.len() + together.repartitions.len());
        let groups = self.copartitioned.iter().flatten().map(|group| size_of::<Together>() + 2 * 16 + places(group));
        size_of::<Self>() + names.chain(groups).sum::<usize>()
    }
}

/// Numbers of partitions: of what there is, and of what was decided.
struct Counts<'a, F> {
    there: F,
    decided: HashMap<&'a str, u32>,
}

impl<'a, F: Fn(&str) -> Option<u32>> Counts<'a, F> {
    fn of(&self, topic: &str) -> Option<u32> {
        (self.there)(topic).max(self.decided.get(topic).copied())
    }

    fn most<'t>(&self, topics: impl Iterator<Item = &'t str>) -> Option<u32> {
        topics.filter_map(|topic| self.of(topic)).max()
    }

    /// True when it was less.
    fn raise(&mut self, topic: &'a str, partitions: u32) -> bool {
        let is_less = self.decided.get(topic).is_none_or(|known| *known < partitions);
        if is_less {
            self.decided.insert(topic, partitions);
        }
        is_less
    }
}

impl Topology {
    /// The topics that the group has made for it.
    pub(in crate::gateway) fn internal(&self) -> impl Iterator<Item = &InternalTopic> {
        self.parts.iter().flat_map(|part| part.repartitions.iter().chain(&part.changelogs))
    }

    /// All topics that it names.
    pub(in crate::gateway) fn names(&self) -> impl Iterator<Item = &str> {
        let others = self.parts.iter().flat_map(|part| part.sources.iter().chain(&part.sinks));
        others.map(String::as_str).chain(self.internal().map(|topic| topic.name.as_str()))
    }

    /// Whether it has the same topics as `other`.
    pub(in crate::gateway) fn resembles(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.names().collect::<HashSet<_>>() == other.names().collect::<HashSet<_>>()
    }

    /// About how many bytes it takes.
    pub(in crate::gateway) fn size(&self) -> usize {
        self.parts.iter().map(Part::size).sum()
    }

    /// What the coordinator would make now, where `there` tells the partitions of what there is. Nothing before all sources are there.
    pub(in crate::gateway) fn wants(&self, there: impl Fn(&str) -> Option<u32>) -> Vec<Want> {
        if self.parts.iter().flat_map(|part| &part.sources).any(|source| there(source).is_none()) {
            return Vec::new();
        }
        let counts = self.coerced(self.repartitioned(there));
        let mut wants = BTreeMap::new();
        let mut want = |topic: &InternalTopic, partitions: Option<u32>| {
            // Without a number Kafka makes nothing either.
            if let Some(partitions) = partitions.filter(|_| (counts.there)(&topic.name).is_none()) {
                let known = wants.entry(topic.name.clone()).or_insert(partitions);
                *known = partitions.max(*known);
            }
        };
        for part in &self.parts {
            part.repartitions.iter().for_each(|topic| want(topic, counts.of(&topic.name)));
            let most = counts.most(part.inputs());
            part.changelogs.iter().for_each(|topic| want(topic, most.max(fixed(topic))));
        }
        wants.into_iter().map(|(topic, partitions)| Want { topic, partitions }).collect()
    }

    /// Repartition topics have as many partitions as the largest source of whoever writes to them, over however many topics
    /// between. From the largest number on, each subtopology passes on the first that reaches it, and so only one.
    fn repartitioned<F: Fn(&str) -> Option<u32>>(&self, there: F) -> Counts<'_, F> {
        let mut counts = Counts { there, decided: HashMap::new() };
        for topic in self.parts.iter().flat_map(|part| &part.repartitions) {
            if let Some(partitions) = fixed(topic) {
                counts.raise(&topic.name, partitions);
            }
        }
        let fixed = self.fixed();
        let mut readers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (number, part) in self.parts.iter().enumerate() {
            part.inputs().for_each(|topic| readers.entry(topic).or_default().push(number));
        }
        let mut numbers: Vec<_> = readers.keys().filter_map(|topic| Some((counts.of(topic)?, *topic))).collect();
        numbers.sort_unstable();
        let mut waiting: Vec<_> = self.parts.iter().map(Some).collect();
        while let Some((partitions, topic)) = numbers.pop() {
            for reader in readers.remove(topic).unwrap_or_default() {
                let Some(part) = waiting.get_mut(reader).and_then(Option::take) else { continue };
                for sink in part.sinks.iter().filter(|sink| !fixed.contains_key(sink.as_str())) {
                    if counts.raise(sink, partitions) {
                        numbers.push((partitions, sink));
                    }
                }
            }
        }
        counts
    }

    /// What is read together has as many partitions as what somebody else made of it; else as what has a fixed number.
    fn coerced<'a, F: Fn(&str) -> Option<u32>>(&'a self, counts: Counts<'a, F>) -> Counts<'a, F> {
        let fixed = self.fixed();
        let is_flexible = |name: &str| !fixed.contains_key(name);
        // Kafka's is that of any fixed topic of the whole topology.
        let most_fixed = counts.most(fixed.keys().copied());
        let mut coerced: HashMap<&str, u32> = HashMap::new();
        let mut coerce = |name: &'a str, partitions: u32| {
            let known = coerced.entry(name).or_insert(partitions);
            *known = partitions.max(*known);
        };
        for part in &self.parts {
            let own: HashSet<&str> = part.repartitions.iter().map(|topic| topic.name.as_str()).collect();
            match &part.copartitioned {
                Some(groups) => {
                    for group in groups {
                        let names = || part.named(group);
                        let outside = counts.most(names().filter(|name| !own.contains(name)));
                        let number = outside.or_else(|| most_fixed.or_else(|| counts.most(names())));
                        if let Some(number) = number {
                            names()
                                .filter(|name| own.contains(name) && is_flexible(name))
                                .for_each(|name| coerce(name, number));
                        }
                    }
                }
                None => {
                    if let Some(most) = counts.most(part.inputs()).max(most_fixed) {
                        own.into_iter().filter(|name| is_flexible(name)).for_each(|name| coerce(name, most));
                    }
                }
            }
        }
        let mut decided = counts.decided;
        decided.extend(coerced);
        Counts { there: counts.there, decided }
    }

    /// Repartition topics whose number of partitions the application says.
    fn fixed(&self) -> HashMap<&str, u32> {
        let repartitions = self.parts.iter().flat_map(|part| &part.repartitions);
        repartitions.filter_map(|topic| Some((topic.name.as_str(), fixed(topic)?))).collect()
    }
}

fn fixed(topic: &InternalTopic) -> Option<u32> {
    Some(topic.partitions).filter(|partitions| *partitions > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn topics(names: &[&str]) -> Vec<InternalTopic> {
        names.iter().map(|name| internal(name, 0)).collect()
    }

    fn internal(name: &str, partitions: u32) -> InternalTopic {
        InternalTopic { name: name.to_owned(), partitions }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn part(sources: &[&str], sinks: &[&str], repartitions: &[&str], changelogs: &[&str]) -> Part {
        Part {
            sources: texts(sources),
            sinks: texts(sinks),
            repartitions: topics(repartitions),
            changelogs: topics(changelogs),
            copartitioned: Some(Vec::new()),
        }
    }

    /// Of topics that there are.
    fn wants(parts: Vec<Part>, there: &[(&str, u32)]) -> Vec<(String, u32)> {
        let there: HashMap<_, _> = there.iter().copied().collect();
        let wants = Topology { epoch: 0, parts }.wants(|name| there.get(name).copied());
        wants.into_iter().map(|want| (want.topic, want.partitions)).collect()
    }

    fn named(wanted: &[(&str, u32)]) -> Vec<(String, u32)> {
        wanted.iter().map(|(name, partitions)| ((*name).to_owned(), *partitions)).collect()
    }

    #[test]
    fn internal_topics_have_as_many_partitions_as_the_largest_source_behind_them() {
        // Listed from the last to the first, so that numbers need several passes.
        let parts = || {
            vec![
                part(&[], &[], &["r2"], &["c2"]),
                part(&["small"], &["r2"], &["r1"], &["c1"]),
                part(&["large", "small"], &["r1"], &[], &["c0"]),
            ]
        };
        let there = [("small", 2), ("large", 6)];
        assert_eq!(wants(parts(), &there), named(&[("c0", 6), ("c1", 6), ("c2", 6), ("r1", 6), ("r2", 6)]));
        let some = [("small", 2), ("large", 6), ("r1", 6), ("c2", 6)];
        assert_eq!(wants(parts(), &some), named(&[("c0", 6), ("c1", 6), ("r2", 6)]));
        assert_eq!(wants(parts(), &[("small", 2)]), [], "before all sources are there, nothing is made");
        let all = [("small", 2), ("large", 6), ("r1", 6), ("r2", 6), ("c0", 6), ("c1", 6), ("c2", 6)];
        assert_eq!(wants(parts(), &all), []);
    }

    #[test]
    fn what_is_joined_with_a_topic_has_as_many_partitions_as_that() {
        let parts = |copartitioned| {
            let joining = Part { copartitioned, ..part(&["table"], &[], &["r"], &["c"]) };
            vec![part(&["stream"], &["r"], &[], &[]), joining]
        };
        let there = [("stream", 12), ("table", 4)];
        let told = Some(vec![Together { sources: vec![0, 7], repartitions: vec![0] }]);
        assert_eq!(wants(parts(told), &there), named(&[("c", 4), ("r", 4)]));
        assert_eq!(wants(parts(None), &there), named(&[("c", 12), ("r", 12)]), "it may be as many");
        let there = [("stream", 4), ("table", 12)];
        assert_eq!(wants(parts(None), &there), named(&[("c", 12), ("r", 12)]));
    }

    #[test]
    fn what_the_application_says_holds_and_what_is_joined_with_it_follows() {
        let fixed = Part { repartitions: vec![internal("f", 9)], ..part(&[], &[], &[], &["c"]) };
        let less = Part { repartitions: vec![internal("f", 1)], ..part(&[], &[], &[], &[]) };
        let parts = vec![part(&["in"], &["f"], &[], &[]), fixed, less];
        assert_eq!(wants(parts, &[("in", 3)]), named(&[("c", 9), ("f", 9)]), "said twice, the larger one");
        let joining = Part {
            repartitions: vec![internal("f", 9), internal("r", 0)],
            copartitioned: Some(vec![Together { sources: vec![], repartitions: vec![0, 1] }]),
            ..part(&[], &[], &[], &[])
        };
        let parts = vec![part(&["in"], &["f", "r"], &[], &[]), joining];
        assert_eq!(wants(parts, &[("in", 3)]), named(&[("f", 9), ("r", 9)]));
    }

    #[test]
    fn what_has_no_number_wants_nothing_and_loops_end() {
        assert_eq!(wants(vec![part(&[], &["b"], &["a"], &["c"]), part(&[], &["a"], &["b"], &[])], &[]), []);
        let loops = vec![part(&["in"], &["b"], &["a"], &[]), part(&[], &["a"], &["b"], &[])];
        assert_eq!(wants(loops, &[("in", 5)]), named(&[("a", 5), ("b", 5)]));
    }

    #[test]
    fn numbers_reach_the_end_of_a_long_chain_without_a_look_at_each_topic_for_each_other() {
        const LENGTH: usize = 3000;
        let names: Vec<_> = (0..=LENGTH).map(|n| format!("r{n}")).collect();
        // Listed from the last to the first.
        let link = |n: usize| part(&[], &[&names[n + 1]], &[&names[n]], &[]);
        let mut parts: Vec<_> = (0..LENGTH).rev().map(link).collect();
        parts.push(part(&["in"], &[&names[0]], &[], &[]));
        parts.push(part(&["other"], &[], &[&names[LENGTH]], &["c"]));
        let looks = Cell::new(0);
        let there = |name: &str| {
            looks.set(looks.get() + 1);
            HashMap::from([("in", 5), ("other", 7)]).get(name).copied()
        };
        let wanted = Topology { epoch: 0, parts }.wants(there);
        assert_eq!(wanted.len(), LENGTH + 2);
        assert!(wanted.iter().all(|want| want.partitions == if want.topic == "c" { 7 } else { 5 }));
        assert!(looks.get() < 10 * LENGTH, "{}", looks.get());
    }
}
