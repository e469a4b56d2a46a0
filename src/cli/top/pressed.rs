//! What keys do.

use serde_json::json;

use super::dialog::{Act, Choice, Menu, Mode, Page, What};
use super::facts::Shown;
use super::follow::Place;
use super::keys::Key;
use super::model::{Bad, Changed, Model, Pane, Purpose, Wish};
use super::pages;
use crate::base::clock::Now;
use crate::base::limits;
use crate::cli::rows::Column;

impl Model {
    /// A key was pressed.
    pub fn key(&mut self, key: &Key, now: Now) {
        self.change(Changed::Now);
        if *key == Key::Ctrl('l') {
            return self.wishes.push((0, Wish::Repaint));
        }
        match std::mem::replace(&mut self.mode, Mode::Table) {
            Mode::Table => self.table_key(key, now),
            Mode::Filter(before) => self.filter_key(key, before),
            Mode::Ask(mut act) => match act.key(key) {
                Choice::Open => self.mode = Mode::Ask(act),
                Choice::Do(act) => self.act(act, now),
                Choice::Leave => {}
            },
            Mode::Signals(mut menu) => match menu.key(key) {
                Choice::Open => self.mode = Mode::Signals(menu),
                Choice::Do(act) => self.mode = Mode::Ask(act),
                Choice::Leave => {}
            },
            Mode::Page(page) => self.page_key(key, page),
        }
    }

    fn act(&mut self, act: Act, now: Now) {
        let node = self.about;
        if !self.is_up(node) {
            return self.tell_of(node, "not done: the node is not there", Bad::Yes, now);
        }
        let (name, args) = act.command();
        self.order(node, name, args, Purpose::Act(act));
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn filter_key(&mut self, key: &Key, before: String) {
        let room = limits::TOP_FILTER.saturating_sub(self.filter.chars().count());
        match key {
            Key::Enter => return,
            Key::Esc => {
                self.filter = before;
                return;
            }
            Key::Char(c) if room > 0 => self.filter.push(*c),
            Key::Paste(text) => {
                self.filter.extend(text.chars().filter(|c| !c.is_control()).take(room));
            }
            Key::Backspace => drop(self.filter.pop()),
            Key::Ctrl('u') => self.filter.clear(),
            _ => {}
        }
        self.mode = Mode::Filter(before);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn table_key(&mut self, key: &Key, now: Now) {
        let rows = self.rows(now);
        let page = i64::from(self.size.1 / 2).max(1);
        match key {
            Key::Up | Key::Char('k') => self.select(&rows, -1),
            Key::Down | Key::Char('j') => self.select(&rows, 1),
            Key::PageUp => self.select(&rows, -page),
            Key::PageDown => self.select(&rows, page),
            Key::Home | Key::Char('g') => self.select(&rows, i64::MIN),
            Key::End | Key::Char('G') => self.select(&rows, i64::MAX),
            Key::Char('q') => self.over = true,
            Key::Char('?' | 'h') => self.open(What::Help),
            Key::Char('/') => self.mode = Mode::Filter(self.filter.clone()),
            Key::Esc => self.filter.clear(),
            Key::Char('s') => self.sort = next_column(self.sort),
            Key::Char('e') => self.only_err ^= true,
            Key::Tab => {
                self.pane = match self.pane {
                    Pane::Output => Pane::Events,
                    Pane::Events => Pane::None,
                    Pane::None => Pane::Output,
                };
            }
            _ => {
                if let Some(shown) = self.selected_row(&rows) {
                    self.row_key(key, shown);
                }
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn row_key(&mut self, key: &Key, shown: Shown) {
        let Shown { node, name, wanted, row } = &shown;
        if name.is_empty() {
            // A node of which nothing is known.
            return;
        }
        self.about = *node;
        let name = name.clone();
        let act = match key {
            Key::Enter => return self.open(What::Log(Place::of(&shown))),
            Key::Char('d') => return self.open(What::Deaths(name)),
            Key::Char('i') => return self.open(What::Info(name)),
            Key::Char('t') => {
                let process = row.pid.map(|pid| (pid, row.name()));
                self.mode = Mode::Signals(Menu { process, name, all: false, at: 0 });
                return;
            }
            Key::Char('r') => Act::Restart(name),
            Key::Char('x') => match row.pid.filter(|_| row.once) {
                Some(pid) => Act::StopProcess(pid, row.name()),
                None => Act::Stop(name),
            },
            Key::Char('S') => Act::Start(name),
            Key::Char('+' | '=') => Act::Scale { name, from: *wanted, to: wanted + 1 },
            Key::Char('-') => Act::Scale { name, from: *wanted, to: wanted.saturating_sub(1) },
            _ => return,
        };
        self.mode = Mode::Ask(act);
    }

    fn select(&mut self, rows: &[Shown], by: i64) {
        let last = rows.len().saturating_sub(1);
        let at = self.selected_index(rows).unwrap_or(self.index.min(last));
        let by = isize::try_from(by).unwrap_or(if by < 0 { isize::MIN } else { isize::MAX });
        self.index = at.saturating_add_signed(by).min(last);
        self.selected = rows.get(self.index).map(Place::of);
    }

    fn open(&mut self, what: What) {
        let mut page = Page::new(what);
        match &page.what {
            What::Help => page.lines = pages::help(),
            What::Log(_) => {}
            What::Deaths(name) => {
                let name = name.clone();
                if self.is_up(self.about) {
                    self.order(self.about, "deaths", vec![json!(name)], Purpose::Deaths(name));
                }
            }
            What::Info(name) => {
                let node = self.nodes.get(self.about);
                let info = node.and_then(|node| node.facts.info_of(name));
                page.lines = info.map(pages::info).unwrap_or_default();
            }
        }
        self.mode = Mode::Page(page);
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "most keys mean nothing here")]
    fn page_key(&mut self, key: &Key, mut page: Page) {
        let height = i64::from(self.size.1.saturating_sub(pages::AROUND));
        let by = match key {
            Key::Esc | Key::Enter | Key::Char('q') => return,
            Key::Up | Key::Char('k') => -1,
            Key::Down | Key::Char('j') => 1,
            Key::PageUp | Key::Char('b') => -height.max(1),
            Key::PageDown | Key::Char(' ') => height.max(1),
            Key::Home | Key::Char('g') => i64::MIN,
            Key::End | Key::Char('G' | 'f') => i64::MAX,
            Key::Char('e') => {
                self.only_err ^= true;
                0
            }
            Key::Char('w') => {
                self.wraps ^= true;
                0
            }
            _ => 0,
        };
        if by != 0 {
            let shown = match page.what {
                What::Log(_) => self.follow.numbers(self.only_err),
                What::Help | What::Deaths(_) | What::Info(_) => Vec::new(),
            };
            page.move_by(by, &shown, usize::try_from(height).unwrap_or(0));
        }
        self.mode = Mode::Page(page);
    }
}

/// The next one to sort by; none behind the last.
fn next_column(column: Option<Column>) -> Option<Column> {
    let order =
        [Column::Cpu, Column::Mem, Column::Restarts, Column::Up, Column::State, Column::Job];
    let Some(column) = column else { return Some(Column::Cpu) };
    let at = order.iter().position(|known| *known == column)?;
    order.get(at + 1).copied()
}
