"use strict";
// Everything is shown by textContent and attributes: what records hold never becomes markup.
const PAGE_RECORDS = 50;
const POINTS_MAX = 240, POINTS_MIN = 60; // a chart begins with room for some, and then becomes denser
const store = {topics: new Map(), groups: new Map(), latest: null};
let view = null; // what the address names; an answer for another one is thrown away

// --- elements ---

function el(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function table(headers, rows, id) {
  const head = el("tr", {}, ...headers.map(([title, kind]) => el("th", {class: kind || ""}, title)));
  const body = rows.map(cells => el("tr", {}, ...cells.map((cell, i) => {
    const given = cell instanceof Object && !(cell instanceof Node) ? cell : {content: cell};
    return el("td", {class: [headers[i][1], given.class].filter(Boolean).join(" ")}, given.content ?? "-");
  })));
  return el("div", {class: "scroll"}, el("table", {id}, el("thead", {}, head), el("tbody", {}, ...body)));
}

// Changes what is shown into what was made: so a link that has the focus, and marked text, outlive the next sample.
function renew(parent, made) {
  const old = [...parent.childNodes];
  made.forEach((each, i) => old[i] ? patch(old[i], each) : parent.append(each));
  old.slice(made.length).forEach(each => each.remove());
}

function patch(old, made) {
  if (old.nodeName !== made.nodeName) return old.replaceWith(made);
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== made.data) old.data = made.data; return; }
  for (const {name} of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const {name, value} of made.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  renew(old, [...made.childNodes]);
}

// --- numbers ---

function count(number) {
  if (number === null || number === undefined) return "-";
  if (number < 9999.5) return !Number.isInteger(number) && number < 99.95 ? number.toFixed(1) : number.toFixed(0);
  for (const unit of ["k", "M", "G"]) { number /= 1000; if (number < 999.95) return `${number.toFixed(1)} ${unit}`; }
  return `${(number / 1000).toFixed(1)} T`;
}

function bytes(number) {
  if (number === null || number === undefined) return "-";
  if (number < 1023.5) return `${number.toFixed(0)} B`;
  for (const unit of ["KiB", "MiB", "GiB", "TiB"]) { number /= 1024; if (number < 1023.95) return `${number.toFixed(1)} ${unit}`; }
  return `${(number / 1024).toFixed(1)} PiB`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "-";
  for (const [unit, length, limit] of [["s", 1, 120], ["min", 60, 7200], ["h", 3600, 172800]])
    if (seconds < limit) return `${(seconds / length).toFixed(0)} ${unit}`;
  return `${(seconds / 86400).toFixed(0)} d`;
}

function time(milliseconds) {
  if (milliseconds === -1) return "-";
  const date = new Date(milliseconds);
  return isNaN(date) ? String(milliseconds) : date.toISOString();
}

const hash = (...names) => "#/" + names.map(encodeURIComponent).join("/");

// --- charts ---

const points = values => Math.max(POINTS_MIN, values.length);

function curve(values, width, height, largest) {
  const step = width / (points(values) - 1), first = width - step * (values.length - 1);
  const pieces = [];
  let piece = null;
  values.forEach((value, i) => {
    if (value === null) { piece = null; return; }
    if (!piece) pieces.push(piece = []);
    piece.push([(first + i * step).toFixed(1), (height - value / largest * (height - 2)).toFixed(1)]);
  });
  const line = pieces.map(piece => "M" + piece.map(point => point.join(" ")).join("L")).join("");
  const area = pieces.map(piece =>
    `M${piece[0][0]} ${height}L` + piece.map(point => point.join(" ")).join("L") + `L${piece.at(-1)[0]} ${height}Z`).join("");
  return [svg("path", {class: "area", d: area}), svg("path", {class: "curve", d: line})];
}

function drawn(kind, values, width, height) {
  const largest = Math.max(1e-9, ...values.map(value => value ?? 0));
  const grid = kind === "chart" ? [0, .5, 1].map(y => svg("line", {class: "grid", x1: 0, x2: width, y1: 1 + y * (height - 2), y2: 1 + y * (height - 2)})) : [];
  return svg("svg", {class: kind, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img",
    "aria-label": `${values.length} values, the last one ${count(values.at(-1))}`}, ...grid, ...curve(values, width, height, largest));
}

function chart(title, values, unit) {
  const known = values.filter(value => value !== null);
  const past = store.latest ? span(store.latest.seconds * (points(values) - 1)) : "";
  return el("figure", {}, el("figcaption", {}, title, el("b", {}, `${count(values.at(-1))}${unit}`)),
    drawn("chart", values, 600, 120),
    el("div", {class: "axis"}, el("span", {}, `${past} ago`), el("span", {}, `up to ${count(known.length ? Math.max(...known) : null)}${unit}`), el("span", {}, "now")));
}

const spark = values => drawn("spark", values, 120, 22);

function sum(lists) {
  const length = Math.max(0, ...lists.map(list => list.length));
  return Array.from({length}, (_, i) => {
    const values = lists.map(list => list[list.length - length + i] ?? null).filter(value => value !== null);
    return values.length ? values.reduce((a, b) => a + b) : null;
  });
}

// --- what is there ---

function remember(found, names, before) {
  const now = new Map();
  for (const each of found) {
    const old = before.get(each.name);
    for (const name of names) each[name] = [...(old && each[name].length === 1 ? old[name] : []), ...each[name]].slice(-POINTS_MAX);
    now.set(each.name, each);
  }
  return now;
}

function take(sample) {
  if (sample.error) return say(sample.error, true);
  store.topics = remember(sample.topics, ["rates"], store.topics);
  store.groups = remember(sample.groups, ["lags", "rates"], store.groups);
  store.latest = sample;
  say(`live, ${time(sample.time).slice(0, 19).replace("T", " ")} UTC`);
  if (view) view.live();
}

function say(text, isBroken = false) {
  const state = document.getElementById("state");
  state.textContent = text;
  state.className = isBroken ? "broken" : "";
}

// --- talking with the server ---

let token = sessionStorage.getItem("token") || "";
if (location.hash.startsWith("#token=")) { // in the fragment it is neither sent nor logged
  token = decodeURIComponent(location.hash.slice(7));
  sessionStorage.setItem("token", token);
  history.replaceState(null, "", "#/");
}

const request = (path, options = {}) =>
  fetch(path, {...options, cache: "no-store", headers: token ? {Authorization: `Bearer ${token}`} : {}});

async function ask(name, fields) {
  const answer = await request(`/api/${name}?${new URLSearchParams(fields)}`);
  if (answer.status === 401) return askForToken();
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error || answer.statusText);
  return found;
}

async function listen() {
  for (;;) {
    try {
      const answer = await request("/api/events");
      if (answer.status === 401) return askForToken();
      if (!answer.ok) throw new Error(answer.statusText);
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = "";;) {
        const {value, done} = await reader.read();
        if (done) break;
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) if (event.startsWith("data: ")) take(JSON.parse(event.slice(6)));
      }
    } catch (error) { /* it is tried again */ }
    say("the server does not answer; trying again", true);
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
}

function askForToken() {
  if (document.getElementById("token")) return new Promise(() => {});
  view = null;
  say("a token is needed", true);
  const field = el("input", {type: "password", id: "token", autocomplete: "off", "aria-label": "token"});
  const use = event => { event.preventDefault(); sessionStorage.setItem("token", token = field.value.trim()); listen(); open(); };
  document.getElementById("main").replaceChildren(el("form", {class: "bar", onsubmit: use}, "Token", field, el("button", {}, "Show the store")));
  field.focus();
  return new Promise(() => {});
}

// --- the views ---

function overview() {
  const main = el("div");
  const live = () => {
    const topics = [...store.topics.values()], groups = [...store.groups.values()], latest = store.latest;
    if (!latest) return;
    const more = number => number ? el("p", {class: "soft"}, `and ${number} more`) : null;
    renew(main, [
      el("div", {class: "charts"}, chart("Throughput of all topics", sum(topics.map(each => each.rates)), "/s"), chart("Lag of all groups", sum(groups.map(each => each.lags)), "")),
      el("h2", {}, "Topics"),
      table([["TOPIC", "name"], ["PARTITIONS", "number"], ["RECORDS", "number"], ["SIZE", "number"], ["RECORDS/S", "number"], ["BYTES/S", "number"], ["HISTORY"]],
        topics.map(each => [el("a", {href: hash("topic", each.name)}, each.name), each.partitions, count(each.records), bytes(each.size_bytes), count(each.records_per_second), bytes(each.bytes_per_second), spark(each.rates)]), "topics"),
      more(latest.topics_left_out),
      el("h2", {}, "Groups"),
      table([["GROUP", "name"], ["MEMBERS", "number"], ["LAG", "number"], ["RECORDS/S", "number"], ["CATCH UP", "number"], ["LAG'S HISTORY"]],
        groups.map(each => [el("a", {href: hash("group", each.name)}, each.name), each.members, {content: count(each.lag), class: each.colour}, count(each.records_per_second), span(each.seconds_to_catch_up), spark(each.lags)]), "groups"),
      more(latest.groups_left_out)].filter(Boolean));
  };
  return {main, live};
}

function reading(name, fields, draw) {
  // A view that asks again with each sample, one question at a time.
  const main = el("div");
  let isAsking = false;
  const self = {main, live: async () => {
    if (isAsking) return;
    isAsking = true;
    try {
      const found = await ask(name, fields);
      if (view === self) renew(main, draw(found));
    } catch (error) {
      if (view === self) renew(main, [el("p", {class: "error"}, error.message)]);
    } finally { isAsking = false; }
  }};
  return self;
}

const topic = name => reading("topic", {topic: name}, found => {
  const settings = Object.entries(found.config).map(([key, value]) => `${key}=${value}`).join("  ");
  return [
    el("div", {class: "charts"}, chart("Throughput", store.topics.get(name)?.rates ?? [], "/s")),
    el("p", {class: "soft"}, settings || "all settings have their defaults"),
    el("h2", {}, "Partitions"),
    table([["PARTITION", "number"], ["START", "number"], ["END", "number"], ["RECORDS", "number"], ["SEGMENTS", "number"], ["SIZE", "number"], [""]],
      found.partitions.map(each => [each.partition, each.start_offset, each.end_offset, each.end_offset - each.start_offset, each.segments, bytes(each.size_bytes), el("a", {href: hash("topic", name, each.partition)}, "records")]), "partitions"),
    el("h2", {}, "Groups"),
    table([["GROUP", "name"], ["LAG HERE", "number"]], found.groups.map(each => [el("a", {href: hash("group", each.group)}, each.group), {content: count(each.lag), class: each.lag === 0 ? "green" : ""}]), "groups"),
  ];
});

const group = name => reading("group", {group: name}, found => {
  const known = store.groups.get(name);
  return [
    el("div", {class: "charts"}, chart("Lag", known?.lags ?? [], ""), chart("Acknowledged", known?.rates ?? [], "/s")),
    el("p", {class: "soft"}, `generation ${found.generation}, assignor ${found.assignor || "-"}, ${found.members} members`),
    table([["TOPIC", "name"], ["PARTITION", "number"], ["COMMITTED", "number"], ["END", "number"], ["LAG", "number"], ["BYTES", "number"], ["AGE", "number"], ["CATCH UP", "number"], ["MEMBER", "name"]],
      found.partitions.map(each => [el("a", {href: hash("topic", each.topic, each.partition)}, each.topic), each.partition, each.committed, each.end,
        {content: each.lag, class: each.lag === null ? "" : each.lag === 0 ? "green" : each.catch_up_seconds === null ? "red" : "yellow"},
        bytes(each.lag_bytes), span(each.lag_seconds), span(each.catch_up_seconds), each.member]), "progress"),
  ];
});

const shown = content => content === null ? el("span", {class: "soft"}, "null") : content.text + (content.is_cut ? "…" : "");

function records(name, partition) {
  const list = el("div"), state = el("span", {class: "soft", role: "status", id: "found"});
  const position = {topic: name, partition, count: PAGE_RECORDS};
  const text = el("input", {type: "search", placeholder: "a text in key, value or headers", "aria-label": "search", id: "search"});
  const from = el("input", {placeholder: "an offset, or 2h ago", "aria-label": "go to", id: "go"});
  let page = null, isFollowing = true, isAsking = false, number = 0;
  const show = found => {
    page = found;
    renew(list, [table([["OFFSET", "number"], ["TIME"], ["KEY", "value"], ["VALUE", "value"]], found.records.map(each =>
      [el("a", {href: hash("topic", name, partition, each.offset)}, String(each.offset)), time(each.timestamp), shown(each.key), shown(each.value)]), "records")]);
  };
  const load = async (question, fields, isMine = ++number) => {
    try {
      const found = await ask(question, {...position, ...fields});
      if (view !== self || isMine !== number) return;
      show(found);
      state.textContent = found.records.length ? `offsets ${found.start_offset} to ${found.end_offset - 1}` : "no records";
    } catch (error) { state.textContent = error.message; }
  };
  const search = async (first, isMine = ++number) => {
    isFollowing = false;
    const found = [];
    try {
      for (let next = first; ;) {
        const answer = await ask("search", {...position, text: text.value, from: next, count: PAGE_RECORDS - found.length});
        if (view !== self || isMine !== number) return;
        found.push(...answer.records);
        next = answer.next_offset;
        show({...answer, records: found});
        const isOver = next >= answer.end_offset, isFull = found.length >= PAGE_RECORDS;
        state.textContent = `${found.length} found` + (isOver ? ", no more" : isFull ? "" : `, at offset ${next} of ${answer.end_offset}`);
        if (isOver || isFull) break;
      }
    } catch (error) { state.textContent = error.message; }
  };
  const go = (isFollowed, fields) => { isFollowing = isFollowed; return load("records", fields); };
  const submit = action => event => { event.preventDefault(); action(); };
  const bar = el("div", {class: "bar"},
    el("button", {onclick: () => go(false, {from: 0}), id: "first"}, "First"),
    el("button", {onclick: () => page?.records.length && go(false, {before: page.records[0].offset}), id: "before"}, "Before"),
    el("button", {onclick: () => page && page.next_offset < page.end_offset && (text.value ? search(page.next_offset) : go(false, {from: page.next_offset})), id: "after"}, "After"),
    el("button", {onclick: () => go(true, {}), id: "last"}, "Last, live"),
    el("form", {onsubmit: submit(() => text.value ? search(0) : go(true, {}))}, text),
    el("form", {onsubmit: submit(() => from.value && go(false, {from: from.value}))}, from), state);
  const self = {main: el("div", {}, bar, list), live: async () => {
    if (!isFollowing || isAsking) return;
    isAsking = true;
    await load("records", {});
    isAsking = false;
  }};
  return self;
}

function record(name, partition, offset) {
  const main = el("div");
  const draw = found => {
    if (found.record === null) return main.replaceChildren(el("p", {class: "error"}, `there is no record with offset ${offset}`));
    const {timestamp, key, value, headers, headers_left_out} = found.record;
    const rows = [["offset", String(offset)], ["timestamp", time(timestamp)], ["key", shown(key)], ...headers.map(([title, content]) => [`header ${title}`, shown(content)])];
    if (headers_left_out) rows.push(["headers", `and ${headers_left_out} more`]);
    main.replaceChildren(
      el("div", {class: "bar"}, el("a", {href: hash("topic", name, partition, Math.max(0, offset - 1))}, "before"), el("a", {href: hash("topic", name, partition, offset + 1)}, "after")),
      el("dl", {}, ...rows.flatMap(([title, content]) => [el("dt", {}, title), el("dd", {}, content)])),
      el("h2", {}, "Value ", el("span", {class: "soft"}, value === null ? "" : bytes(value.size_bytes))),
      el("pre", {id: "value"}, value === null ? "null" : value.text), value?.is_cut ? el("p", {class: "soft"}, "The rest is not shown.") : "");
  };
  const self = {main, live: () => {}};
  ask("record", {topic: name, partition, offset}).then(found => view === self && draw(found), error => main.append(el("p", {class: "error"}, error.message)));
  return self;
}

function open() {
  let names;
  try { names = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent); } catch { names = []; }
  const [kind, name, partition, offset] = names;
  if (kind === "topic" && offset !== undefined) view = record(name, Number(partition), Number(offset));
  else if (kind === "topic" && partition !== undefined) view = records(name, Number(partition));
  else if (kind === "topic" && name !== undefined) view = topic(name);
  else if (kind === "group" && name !== undefined) view = group(name);
  else view = overview();
  const path = document.getElementById("path");
  [...path.children].slice(2).forEach(child => child.remove());
  names.slice(1).forEach((each, i) => path.append(el("span", {class: "soft"}, "›"), el("a", {href: hash(...names.slice(0, i + 2))}, each)));
  document.getElementById("main").replaceChildren(view.main);
  view.live();
}

window.addEventListener("hashchange", open);
open();
listen();
