//! What a source file mentions: paths, macros, methods, async; read from its syntax, never from its text.
//!
//! Comments and strings therefore do not matter, and test code is left out. This file knows no rule; the rules
//! stand in `architecture.rs`.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "the kinds of syntax that matter here are few, and the rest grows"
)]

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// The package's name, under which `main.rs` sees the library.
const PACKAGE: &str = "breakwatch";
/// How often a name may stand for another before we stop following it.
const ALIAS_DEPTH: usize = 8;

/// One thing that a source file names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) what: What,
}

/// The kinds of things that rules are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A path from a root: `crate::…` or the name of another crate first.
    Path(Vec<String>),
    /// `async` or `.await`.
    Async,
    /// A macro by its last name, without `!`.
    Macro(String),
    /// A method that is called.
    Method(String),
    /// `#[path = "…"]`: the file that is compiled is not the one that we look at.
    PathAttribute,
}

/// Everything outside test code that `file`, being the module `module`, mentions.
pub(crate) fn mentions(file: &syn::File, module: &[String]) -> Vec<Mention> {
    let mut aliases = Aliases { module: module.to_vec(), names: BTreeMap::new() };
    aliases.visit_file(file);
    let mut scan = Scan { module: module.to_vec(), names: aliases.names, found: Vec::new() };
    scan.visit_file(file);
    scan.found
}

/// The macros called anywhere in `tokens`, test code included.
pub(crate) fn macros_everywhere(tokens: TokenStream) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    for (i, tree) in trees.iter().enumerate() {
        match tree {
            TokenTree::Group(group) => found.extend(macros_everywhere(group.stream())),
            TokenTree::Ident(name) if is_punct(trees.get(i + 1), '!') => {
                found.push((line(name.span()), name.to_string()));
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
    found
}

/// How many lines of `file` are test modules or test functions.
pub(crate) fn test_lines(file: &syn::File) -> usize {
    let is_test = |item: &&syn::Item| is_test_only(attributes(item));
    file.items.iter().filter(is_test).map(|i| i.span().end().line + 1 - line(i.span())).sum()
}

/// The modules that `file` declares for tests only and keeps in files of their own.
pub(crate) fn test_modules(file: &syn::File) -> Vec<String> {
    let named = |item: &syn::Item| match item {
        syn::Item::Mod(m) if m.content.is_none() && is_test_only(&m.attrs) => Some(m.ident.to_string()),
        _ => None,
    };
    file.items.iter().filter_map(named).collect()
}

/// First pass: which names `use` declarations give to which paths.
struct Aliases {
    module: Vec<String>,
    names: BTreeMap<String, Vec<Vec<String>>>,
}

impl<'ast> Visit<'ast> for Aliases {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            if let (Some(name), Some(path)) = (leaf.name, rooted(&self.module, &leaf.path)) {
                self.names.entry(name).or_default().push(path);
            }
        }
    }
}

/// Second pass: everything that is mentioned.
struct Scan {
    module: Vec<String>,
    names: BTreeMap<String, Vec<Vec<String>>>,
    found: Vec<Mention>,
}

impl Scan {
    fn add(&mut self, span: Span, what: What) {
        self.found.push(Mention { line: line(span), what });
    }

    fn add_path(&mut self, span: Span, path: &[String]) {
        for absolute in self.resolve(path, ALIAS_DEPTH) {
            self.add(span, What::Path(absolute));
        }
    }

    /// Every path from a root that `path` can stand for.
    fn resolve(&self, path: &[String], depth: usize) -> Vec<Vec<String>> {
        let absolute = rooted(&self.module, path).unwrap_or_default();
        let aliased = absolute.first().and_then(|first| self.names.get(first));
        match (aliased, depth.checked_sub(1)) {
            (Some(targets), Some(depth)) => targets
                .iter()
                .map(|target| target.iter().chain(&absolute[1..]).cloned().collect::<Vec<_>>())
                .flat_map(|p| if p == absolute { vec![p] } else { self.resolve(&p, depth) })
                .collect(),
            _ => vec![absolute],
        }
    }

    /// Tokens that no parser has seen: the arguments of macros and the bodies of `macro_rules!`.
    fn scan_tokens(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut i = 0;
        while let Some(tree) = trees.get(i) {
            i += match tree {
                TokenTree::Ident(_) => self.scan_words(&trees, i),
                TokenTree::Group(group) => {
                    self.scan_tokens(group.stream());
                    1
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => 1,
            };
        }
    }

    /// Paths in quotes, as in `#[serde(with = "module::function")]`, are code too.
    fn scan_quoted(&mut self, tokens: TokenStream) {
        for tree in tokens {
            let quoted = syn::parse2::<syn::LitStr>(tree.into()).and_then(|text| text.parse::<syn::Path>());
            if let Ok(path) = quoted
                && path.segments.len() > 1
            {
                self.visit_path(&path);
            }
        }
    }

    /// A path in raw tokens, which begins at `start`; returns how many tokens it took.
    fn scan_words(&mut self, trees: &[TokenTree], start: usize) -> usize {
        let span = trees[start].span();
        let mut end = start;
        let mut path = Vec::new();
        while let Some(TokenTree::Ident(word)) = trees.get(end) {
            path.push(word.to_string());
            end += 1;
            if !(is_punct(trees.get(end), ':') && is_punct(trees.get(end + 1), ':')) {
                break;
            }
            end += 2;
        }
        if let Some(TokenTree::Group(group)) = trees.get(end)
            && is_punct(trees.get(end - 1), ':')
            && group.delimiter() == Delimiter::Brace
        {
            self.scan_group(span, &path, group.stream());
            return end + 1 - start;
        }
        let last = path.last().cloned().unwrap_or_default();
        if last == "async" || last == "await" {
            self.add(span, What::Async);
        } else if is_punct(trees.get(end), '!') {
            self.add(span, What::Macro(last));
        } else if start > 0 && is_punct(trees.get(start - 1), '.') {
            self.add(span, What::Method(last));
        } else {
            self.add_path(span, &path);
        }
        end - start
    }

    /// `prefix::{a, b::c}` in raw tokens.
    fn scan_group(&mut self, span: Span, prefix: &[String], tokens: TokenStream) {
        let tree: Result<syn::ItemUse, _> = {
            let prefix: TokenStream = prefix.join("::").parse().unwrap_or_default();
            syn::parse2(quote_use(&prefix, &tokens))
        };
        match tree {
            Ok(item) => {
                for leaf in leaves(&item.tree) {
                    self.add_path(span, &leaf.path);
                }
            }
            Err(_) => {
                self.add_path(span, prefix);
                self.scan_tokens(tokens);
            }
        }
    }
}

/// `use prefix::{tokens};`
fn quote_use(prefix: &TokenStream, tokens: &TokenStream) -> TokenStream {
    format!("use {prefix}::{{{tokens}}};").parse().unwrap_or_default()
}

impl<'ast> Visit<'ast> for Scan {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test_only(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(f) => &f.attrs[..],
            syn::ImplItem::Const(c) => &c.attrs[..],
            _ => &[],
        };
        if !is_test_only(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        for leaf in leaves(&item.tree) {
            self.add_path(item.span(), &leaf.path);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.add_path(item.span(), &[item.ident.to_string()]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.add_path(path.span(), &words);
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if attribute.path().is_ident("path") {
            self.add(attribute.span(), What::PathAttribute);
        }
        self.visit_path(attribute.path());
        if let syn::Meta::List(list) = &attribute.meta {
            self.scan_tokens(list.tokens.clone());
            self.scan_quoted(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        let name = called.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        self.add(called.span(), What::Macro(name));
        self.visit_path(&called.path);
        self.scan_tokens(called.tokens.clone());
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.add(call.method.span(), What::Method(call.method.to_string()));
        visit::visit_expr_method_call(self, call);
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if let Some(word) = &signature.asyncness {
            self.add(word.span(), What::Async);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.add(block.span(), What::Async);
        visit::visit_expr_async(self, block);
    }

    fn visit_expr_await(&mut self, wait: &'ast syn::ExprAwait) {
        self.add(wait.span(), What::Async);
        visit::visit_expr_await(self, wait);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        if let Some(word) = &closure.asyncness {
            self.add(word.span(), What::Async);
        }
        visit::visit_expr_closure(self, closure);
    }
}

/// One path of a `use` tree and the name it gets in its scope.
struct Leaf {
    path: Vec<String>,
    name: Option<String>,
}

fn leaves(tree: &syn::UseTree) -> Vec<Leaf> {
    let mut found = Vec::new();
    collect_leaves(tree, &mut Vec::new(), &mut found);
    found
}

fn collect_leaves(tree: &syn::UseTree, prefix: &mut Vec<String>, found: &mut Vec<Leaf>) {
    let mut leaf = |last: &syn::Ident, name: Option<String>| {
        let mut path = prefix.clone();
        if last != "self" || path.is_empty() {
            path.push(last.to_string());
        }
        let name = name.or_else(|| path.last().cloned());
        found.push(Leaf { path, name });
    };
    match tree {
        syn::UseTree::Name(n) => leaf(&n.ident, None),
        syn::UseTree::Rename(r) => leaf(&r.ident, Some(r.rename.to_string())),
        syn::UseTree::Glob(_) => {
            let path = prefix.iter().cloned().chain(["*".to_owned()]).collect();
            found.push(Leaf { path, name: None });
        }
        syn::UseTree::Path(p) => {
            prefix.push(p.ident.to_string());
            collect_leaves(&p.tree, prefix, found);
            prefix.pop();
        }
        syn::UseTree::Group(g) => g.items.iter().for_each(|t| collect_leaves(t, prefix, found)),
    }
}

/// `path` as seen from `module`, with `crate`, `self` and `super` worked out; `None` when it leaves the crate.
fn rooted(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let inside = |rest: &[String], kept: usize| {
        Some(
            std::iter::once("crate")
                .map(str::to_owned)
                .chain(module[..kept].to_vec())
                .chain(rest.to_vec())
                .collect(),
        )
    };
    match path.first().map(String::as_str) {
        Some("crate" | PACKAGE) => inside(&path[1..], 0),
        Some("self") => climb(module.len(), &path[1..]).and_then(|(kept, rest)| inside(rest, kept)),
        Some("super") => climb(module.len(), path).and_then(|(kept, rest)| inside(rest, kept)),
        _ => Some(path.to_vec()),
    }
}

/// Goes up one module for each leading `super`: how many modules remain, and the rest of the path.
fn climb(depth: usize, path: &[String]) -> Option<(usize, &[String])> {
    let ups = path.iter().take_while(|word| *word == "super").count();
    Some((depth.checked_sub(ups)?, &path[ups..]))
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(i) => &i.attrs,
        syn::Item::Enum(i) => &i.attrs,
        syn::Item::Fn(i) => &i.attrs,
        syn::Item::Impl(i) => &i.attrs,
        syn::Item::Macro(i) => &i.attrs,
        syn::Item::Mod(i) => &i.attrs,
        syn::Item::Static(i) => &i.attrs,
        syn::Item::Struct(i) => &i.attrs,
        syn::Item::Trait(i) => &i.attrs,
        syn::Item::Type(i) => &i.attrs,
        syn::Item::Use(i) => &i.attrs,
        _ => &[],
    }
}

/// `#[test]`, `#[cfg(test)]` or `#[cfg(all(test, …))]`; not `any` or `not`, which are compiled without tests too.
fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| a.path().is_ident("test") || (a.path().is_ident("cfg") && is_test_meta(&a.meta)))
}

fn is_test_meta(meta: &syn::Meta) -> bool {
    let syn::Meta::List(list) = meta else { return meta.path().is_ident("test") };
    let parser = syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
    let all = list.path.is_ident("cfg") || list.path.is_ident("all");
    all && list.parse_args_with(parser).is_ok_and(|inner| inner.iter().any(is_test_meta))
}

fn is_punct(tree: Option<&TokenTree>, wanted: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(p)) if p.as_char() == wanted)
}

fn line(span: Span) -> usize {
    span.start().line
}
