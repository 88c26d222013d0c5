// Asks the server three things: what the run is, what it sees in a video, and how that video is
// ranked among class names. Texts of the server and of the user go into the page as text alone.

const SHOWN = 5;
const part = (id) => document.getElementById(id);

let own = { class_names: [], is_seen: [], max_bytes: Infinity };
let names = []; // {name, isSeen}; isSeen is null until the server has said so
let file = null; // the user's
let key = null; // of the file, on the server
let answer = null;
let asked = 0; // counts questions: the answer to an older one is not shown
let uploading = null;
let objectUrl = null;

function say(text) {
  part("status").textContent = text;
}

function complain(text) {
  part("error").textContent = text;
}

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function mark(isSeen) {
  if (isSeen === null) return element("span", "new", "mark unseen");
  return isSeen ? element("span", "seen", "mark") : element("span", "unseen", "mark unseen");
}

async function sentence(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `The server answered with ${response.status}.`;
  }
}

// ---- Class names

function showNames() {
  const list = part("names");
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  part("count").textContent = `(${names.length})`;
  list.replaceChildren(
    ...names.map(({ name, isSeen }, number) => {
      const item = element("li");
      const remove = element("button", "×");
      remove.type = "button";
      remove.setAttribute("aria-label", `Remove ${name}`);
      remove.addEventListener("click", () => {
        names.splice(number, 1);
        changed();
      });
      item.append(element("span", name), mark(isSeen), remove);
      return item;
    }),
  );
  if (focused >= 0) {
    const buttons = list.querySelectorAll("button");
    (buttons[Math.min(focused, buttons.length - 1)] ?? part("new-names")).focus();
  }
  part("leave-out-seen").disabled = !names.some(({ isSeen }) => isSeen);
  part("remove-all").disabled = names.length === 0;
}

function changed() {
  showNames();
  rank();
}

function ownNames() {
  return own.class_names.map((name, number) => ({ name, isSeen: own.is_seen[number] }));
}

function addNames(event) {
  event.preventDefault();
  const lines = part("new-names").value.split("\n").map((line) => line.trim()).filter(Boolean);
  const known = new Set(names.map(({ name }) => name));
  const ofRun = new Map(ownNames().map((one) => [one.name, one]));
  for (const name of new Set(lines)) {
    if (!known.has(name)) names.push(ofRun.get(name) ?? { name, isSeen: null });
  }
  part("new-names").value = "";
  changed();
}

// ---- The video

function choose(chosen) {
  file = chosen;
  key = answer = null;
  asked += 1;
  uploading?.abort();
  complain("");
  showAnswer();
  if (objectUrl) URL.revokeObjectURL(objectUrl);
  objectUrl = URL.createObjectURL(file);
  part("unplayable").hidden = true;
  part("player").hidden = false;
  part("player").src = objectUrl;
  upload();
}

async function upload() {
  if (file.size > own.max_bytes) {
    say("");
    complain(`The video is too large: this server takes videos ${own.limits}.`);
    return;
  }
  const number = (asked += 1);
  uploading = new AbortController();
  say(`Sending ${file.name} …`);
  try {
    const suffix = encodeURIComponent(/\.([^.]*)$/.exec(file.name)?.[1] ?? "");
    const response = await fetch(`videos?suffix=${suffix}`, {
      method: "POST",
      body: file,
      headers: { "Content-Type": "application/octet-stream" },
      signal: uploading.signal,
    });
    if (!response.ok) throw new Error(await sentence(response));
    const last = await followed(response, number);
    if (number !== asked) return;
    if (last.reason) throw new Error(`The video cannot be used: ${last.reason}`);
    if (last.error) throw new Error(last.error);
    key = last.video;
    rank();
  } catch (error) {
    if (number === asked) failed(error);
  }
}

// Reads lines of JSON to the last one, and says meanwhile how many videos are before this one.
async function followed(response, number) {
  let last = {};
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return last;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      last = JSON.parse(line);
      if ("before" in last && number === asked) {
        say(last.before ? `Waiting; before this one: ${last.before}.` : "Looking and listening …");
      }
    }
  }
}

function failed(error) {
  say("");
  complain(error instanceof TypeError ? "The server cannot be reached." : error.message);
}

// ---- The answer

async function rank() {
  if (key === null) return;
  const number = (asked += 1);
  complain("");
  if (names.length === 0) {
    answer = null;
    showAnswer();
    say("");
    complain("There is no class name to choose; add one.");
    return;
  }
  say("Ranking …");
  try {
    const response = await fetch("rankings", {
      method: "POST",
      body: JSON.stringify({ video: key, classes: names.map(({ name }) => name) }),
      headers: { "Content-Type": "application/json" },
    });
    if (number !== asked) return;
    if (response.status === 404) {
      upload(); // The server was started anew, or keeps newer videos.
      return;
    }
    if (!response.ok) throw new Error(await sentence(response));
    const found = await response.json();
    if (number !== asked) return;
    answer = found;
    // The server writes names as the run does, and knows which are seen.
    names = answer.class_names.map((name, row) => ({ name, isSeen: answer.is_seen[row] }));
    showNames();
    showAnswer();
    const [nearest] = answer.ranking;
    say(`Nearest class: ${nearest.class_name} (${nearest.is_seen ? "seen" : "unseen"}).`);
  } catch (error) {
    if (number !== asked) return;
    answer = null;
    showAnswer();
    failed(error);
  }
}

function showAnswer(shown = SHOWN) {
  const ranking = answer?.ranking ?? [];
  part("ranking-empty").hidden = ranking.length > 0;
  part("ranking-table").hidden = ranking.length === 0;
  part("ranking").replaceChildren(
    ...ranking.slice(0, shown).map((one, row) => {
      const line = element("tr");
      const cell = element("td", `${one.class_name} `);
      cell.append(mark(one.is_seen));
      line.append(
        element("td", String(row + 1)),
        cell,
        element("td", one.score.toFixed(3), "number"),
        element("td", one.distance.toFixed(4), "number"),
      );
      return line;
    }),
  );
  part("more").hidden = ranking.length <= shown;
  part("explanation").textContent = answer ? `${answer.explanation}.` : "";
  showTimeline(answer?.timeline ?? []);
}

// ---- The timeline

function time(seconds) {
  const tenths = Math.round(seconds * 10);
  const minutes = Math.floor(tenths / 600);
  return `${minutes}:${((tenths % 600) / 10).toFixed(1).padStart(4, "0")}`;
}

// Neighbours with the same nearest class are one stretch.
function joined(timeline) {
  const stretches = [];
  for (const one of timeline) {
    const last = stretches.at(-1);
    if (last?.class_name === one.class_name) last.end_s = one.end_s;
    else stretches.push({ ...one });
  }
  return stretches;
}

function colours(timeline) {
  const numbers = new Map();
  for (const { class_name } of timeline) {
    numbers.set(class_name, (numbers.get(class_name) ?? 0) + 1);
  }
  const frequent = [...numbers.keys()].sort((a, b) => numbers.get(b) - numbers.get(a)).slice(0, 5);
  return new Map(frequent.map((name, number) => [name, `c${number}`]));
}

function showTimeline(timeline) {
  const stretches = joined(timeline);
  const colour = colours(timeline);
  part("timeline-section").hidden = stretches.length === 0;
  part("bar").replaceChildren(
    ...stretches.map((one) => {
      const made = element("span", "", colour.get(one.class_name) ?? "");
      made.style.flexGrow = String(Math.max((one.end_s ?? one.start_s + 1) - one.start_s, 0.01));
      return made;
    }),
  );
  part("timeline").replaceChildren(
    ...stretches.map((one) => {
      const item = element("li");
      const button = element("button");
      button.type = "button";
      button.dataset.start = one.start_s;
      button.dataset.end = one.end_s ?? "";
      const until = one.end_s === null ? "the end" : time(one.end_s);
      button.append(
        element("span", "", `dot ${colour.get(one.class_name) ?? ""}`),
        element("span", `${time(one.start_s)} to ${until}`, "time"),
        element("span", one.class_name),
        mark(one.is_seen),
      );
      button.addEventListener("click", () => {
        part("player").currentTime = one.start_s;
        part("player").play().catch(() => {});
      });
      item.append(button);
      return item;
    }),
  );
}

function follow() {
  const now = part("player").currentTime;
  for (const button of part("timeline").querySelectorAll("button")) {
    const end = button.dataset.end === "" ? Infinity : Number(button.dataset.end);
    if (Number(button.dataset.start) <= now && now < end) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

// ---- What the user does

part("file").addEventListener("change", (event) => {
  if (event.target.files.length) choose(event.target.files[0]);
});
part("add").addEventListener("submit", addNames);
part("leave-out-seen").addEventListener("click", () => {
  names = names.filter(({ isSeen }) => !isSeen);
  changed();
});
part("remove-all").addEventListener("click", () => {
  names = [];
  changed();
});
part("own-names").addEventListener("click", () => {
  names = ownNames();
  changed();
});
part("more").addEventListener("click", () => showAnswer(Infinity));
part("player").addEventListener("timeupdate", follow);
part("player").addEventListener("error", () => {
  part("player").hidden = true;
  part("unplayable").hidden = file === null;
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
}
for (const kind of ["dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.remove("dropping");
  });
}
document.addEventListener("drop", (event) => {
  const [dropped] = event.dataTransfer.files;
  if (dropped) choose(dropped);
});

try {
  const response = await fetch("run");
  if (!response.ok) throw new Error(await sentence(response));
  own = await response.json();
  part("run").textContent = own.name;
  part("limits").textContent = `Any format, ${own.limits}.`;
  names = ownNames();
  showNames();
} catch (error) {
  failed(error);
}
