//! A process's environment in two layers: its own variables over those of the daemon. The lower
//! layer is shared, since every process of a node can have the same one and it is by far the larger.

use crate::base::sorted::SortedMap;
use std::rc::Rc;

/// Variables by name.
pub type Variables = SortedMap<String, String>;

/// The environment of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    below: Rc<Variables>,
    own: Variables,
}

impl Environment {
    /// These variables and nothing above them yet.
    pub fn over(below: Rc<Variables>) -> Self {
        Self { below, own: Variables::new() }
    }

    /// Sets a variable of the upper layer.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.own.insert(name.into(), value.into());
    }

    /// Sets variables of the upper layer.
    pub fn extend(&mut self, variables: &Variables) {
        self.own.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.own.get(name).or_else(|| self.below.get(name)).map(String::as_str)
    }

    /// All variables, each once.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let below = self.below.iter().filter(|(name, _)| !self.own.contains_key(*name));
        below.chain(&self.own).map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { below: Rc::default(), own: variables.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_layer_wins_and_each_variable_stands_once() {
        let below = Variables::from([("A".into(), "below".into()), ("B".into(), "below".into())]);
        let mut environment = Environment::over(Rc::new(below));
        environment.insert("A", "own");
        assert_eq!(environment.get("A"), Some("own"));
        assert_eq!(environment.get("C"), None);
        assert_eq!(environment.iter().collect::<Vec<_>>(), [("B", "below"), ("A", "own")]);
    }
}
