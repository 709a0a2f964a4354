// Plays the recorded runs of a page. All times are in ticks of 10 microseconds, from the run's beginning.
(() => {
  "use strict";

  const TICKS_PER_S = 100000;
  const FLIGHT_S = 0.4; // how long a dot is on its way, in seconds of the screen
  const SPEEDS = [2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01];
  const PLAY_S = 12; // how long a run should play, if one of the speeds allows it
  const RADIUS = 4, PITCH = 9.5, STRIP = 72;
  const SIDE = 108; // room for a consumer's counts, on the right of its box
  const [OPEN, REQUEUED, REJECTED, ACKED, CAME_BACK] = [0, 1, 2, 3, 4];
  const ENDS = ["", "put back into the queue", "rejected", "acknowledged", "lost with the connection, and back in the queue"];
  const INK = "#222222", READY = "#D55E00", HELD = "#0072B2", DONE = "#009E73", AGAIN = "#8F4373";
  const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches;

  const seconds = (ticks, digits = 3) => `${(ticks / TICKS_PER_S).toFixed(digits)} s`;
  const sorted = (times) => Float64Array.from(times.filter((time) => time !== null)).sort();

  // How many of these sorted times are not after this one.
  function until(times, time) {
    let low = 0, high = times.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // What was recorded, and where each message is at any moment. Knows nothing of the screen.
  class Run {
    constructor(data) {
      Object.assign(this, data);
      this.queues = data.queues.map(([name]) => name);
      this.passing = data.queues.map(([, passes]) => passes); // whether a queue comes and goes with its consumer
      this.deliveries = data.row.map((row, i) => ({
        row, consumer: data.consumer[i], from: data.delivered[i], to: data.until[i] ?? Infinity,
        end: data.end[i], again: data.again[i],
      }));
      this.copies = data.number.map((number, i) => ({
        number, queue: data.queue[i], published: data.published[i] ?? 0, confirmed: data.confirmed[i],
        refused: data.refused[i], marked: data.marked[i], deliveries: [], isSecond: i > 0 && data.number[i - 1] === number,
      }));
      for (const delivery of this.deliveries) this.copies[delivery.row].deliveries.push(delivery);
      this.ends = data.consumers.map(() => []); // when each came and went: [time, whether it came]
      for (const [time, , consumer, comes] of data.marks) {
        if (consumer >= 0) this.ends[consumer].push([time, comes]);
      }
      this.waits = data.queues.map(() => []);
      this.copies.forEach((copy, row) => this.#wait(copy, row));
      for (const waits of this.waits) waits.sort((a, b) => a.to - b.to || a.from - b.from || a.row - b.row);
      this.hands = data.consumers.map(() => []);
      for (const delivery of this.deliveries) this.hands[delivery.consumer].push(delivery);
      for (const hand of this.hands) hand.sort((a, b) => a.from - b.from);
      this.#count();
    }

    // A message waits from its publishing, or its return, to its next delivery.
    #wait(copy, row) {
      if (copy.queue < 0) return;
      let from = copy.published, by = -1;
      for (const delivery of copy.deliveries) {
        this.waits[copy.queue].push({ row, from, to: delivery.from, by, consumer: delivery.consumer });
        if (delivery.end !== REQUEUED && delivery.end !== CAME_BACK) return;
        from = delivery.to;
        by = delivery.consumer;
      }
      this.waits[copy.queue].push({ row, from, to: Infinity, by, consumer: -1 });
    }

    #count() {
      const first = this.copies.filter((copy) => !copy.isSecond);
      const ends = (code) => sorted(this.deliveries.filter((each) => each.end === code).map((each) => each.to));
      this.times = {
        published: sorted(first.map((copy) => copy.published)),
        confirmed: sorted(first.map((copy) => copy.confirmed)),
        returned: sorted(first.filter((copy) => copy.refused === 2).map((copy) => copy.confirmed ?? copy.published)),
        received: sorted(this.deliveries.map((each) => each.from)),
        redelivered: sorted(this.deliveries.filter((each) => each.again).map((each) => each.from)),
        acked: ends(ACKED), rejected: ends(REJECTED), requeued: ends(REQUEUED),
      };
      const finite = (times) => sorted(times.filter(Number.isFinite));
      this.entered = this.waits.map((waits) => sorted(waits.map((each) => each.from)));
      this.left = this.waits.map((waits) => finite(waits.map((each) => each.to)));
      this.taken = this.hands.map((hand) => sorted(hand.map((each) => each.from)));
      this.let = this.hands.map((hand) => finite(hand.map((each) => each.to)));
      this.done = this.hands.map((hand) =>
        sorted(hand.filter((each) => each.end === ACKED || each.end === REJECTED).map((each) => each.to)));
      const moments = [...Object.values(this.times).flatMap((times) => [...times]), ...this.let.flatMap((times) => [...times])];
      this.moments = Float64Array.from(new Set([...moments, ...this.marks.map((mark) => mark[0])])).sort();
      this.first = this.moments[0];
      this.last = this.moments[this.moments.length - 1];
    }

    counts(time) {
      return Object.fromEntries(Object.entries(this.times).map(([name, times]) => [name, until(times, time)]));
    }

    ready(queue, time) {
      return until(this.entered[queue], time) - until(this.left[queue], time);
    }

    held(consumer, time) {
      return until(this.taken[consumer], time) - until(this.let[consumer], time);
    }

    depth(queue, time) {
      const mine = this.consumers.flatMap(([, place], consumer) => (place === queue ? [consumer] : []));
      const unacked = mine.reduce((sum, consumer) => sum + this.held(consumer, time), 0);
      return { ready: this.ready(queue, time), unacked };
    }

    isGone(consumer, time) {
      const [, came] = this.ends[consumer].filter(([at]) => at <= time).pop() ?? [0, 1];
      return !came;
    }

    isThere(queue, time) {
      return !this.passing[queue] || this.consumers.some(([, place], consumer) => place === queue && !this.isGone(consumer, time));
    }

    isLost(delivery, time) {
      const ends = this.ends[delivery.consumer];
      return delivery.end === OPEN && ends.some(([at, came]) => !came && at >= delivery.from && at <= time);
    }

    story(number) {
      const copies = this.copies.filter((copy) => copy.number === number);
      if (!copies.length) return "";
      const { published, confirmed, refused } = copies[0];
      const parts = [`Message ${number}: published at ${seconds(published)}`];
      if (confirmed !== null) parts.push(`confirmed at ${seconds(confirmed)}`);
      if (refused) parts.push(refused === 2 ? "returned, as no queue was there for it" : "refused by the broker");
      for (const copy of copies) {
        const where = copies.length > 1 ? `, from ${this.queues[copy.queue]}` : "";
        for (const each of copy.deliveries) {
          const again = each.again ? "delivered again" : "delivered";
          parts.push(`${again} to ${this.consumers[each.consumer][0]} at ${seconds(each.from)}${where}`);
          if (each.end !== OPEN) parts.push(`${ENDS[each.end]}${each.end === CAME_BACK ? "" : ` at ${seconds(each.to)}`}`);
          else if (this.isLost(each, Infinity)) parts.push("lost when its consumer ended");
        }
        if (!copy.deliveries.length && !refused) parts.push("never delivered");
      }
      return `${parts.join("; ")}.`;
    }
  }

  const PAGE = `<style>
    :host { display: block; }
    .card { background: #fff; color: ${INK}; border: 1px solid #bbb; border-radius: 6px; padding: 8px 10px;
      font: 14px/1.4 system-ui, sans-serif; max-width: 1000px; }
    .scroll { overflow-x: auto; }
    .stage { position: relative; min-width: 600px; }
    .stage svg { display: block; width: 100%; height: auto; }
    canvas { display: block; }
    .stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
    .strip { width: 100%; height: ${STRIP}px; }
    input[type=range] { width: 100%; margin: 2px 0; accent-color: ${HELD}; }
    .row { display: flex; flex-wrap: wrap; gap: 6px 10px; align-items: center; }
    button, select, input[type=number] { font: inherit; color: inherit; background: #f3f3f3; border: 1px solid #767676;
      border-radius: 4px; padding: 2px 8px; min-height: 28px; }
    input[type=number] { width: 5.5em; }
    :focus-visible { outline: 2px solid ${HELD}; outline-offset: 2px; }
    output { font-variant-numeric: tabular-nums; }
    p { margin: 6px 0 0; }
    .legend span { white-space: nowrap; }
    i { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 4px; box-sizing: border-box; }
  </style>
  <div class="card" role="group" aria-label="Replay of a recorded run">
    <div class="scroll" tabindex="0" role="group" aria-label="Where the messages are">
      <div class="stage"><canvas role="img"></canvas></div></div>
    <canvas class="strip" role="img" aria-label="Messages in the queues and in hand, over time"></canvas>
    <input type="range" step="1" aria-label="Time in the run">
    <div class="row">
      <button class="play" type="button">Play</button>
      <button class="back" type="button" aria-label="Back by one event">◂ event</button>
      <button class="next" type="button" aria-label="On by one event">event ▸</button>
      <label>Speed <select></select></label>
      <label>Message <input class="message" type="number" min="0"></label>
      <output class="time"></output>
    </div>
    <p class="counts"></p>
    <p class="legend row" aria-hidden="true">
      <span><i style="background:${READY}"></i>in a queue</span>
      <span class="unconfirmed"><i style="border:2px solid ${READY}"></i>not confirmed yet</span>
      <span class="special"><b>◆</b> <span></span></span>
      <span><i style="background:${HELD}"></i>in hand</span>
      <span><i style="border:2px solid ${AGAIN}"></i>delivered again</span>
      <span><i style="background:${DONE}"></i>acknowledged</span>
      <span>✕ lost or rejected</span></p>
    <p class="story" aria-live="polite"></p>
    <p class="sentence"></p>
  </div>`;

  class Player {
    constructor(host) {
      const image = host.querySelector("img");
      const svg = new TextDecoder().decode(Uint8Array.from(atob(image.src.split(",")[1]), (sign) => sign.charCodeAt(0)));
      this.run = new Run(JSON.parse(host.querySelector("script").textContent));
      this.root = host.attachShadow({ mode: "open" });
      this.root.innerHTML = PAGE;
      this.stage = this.find(".stage");
      this.stage.insertAdjacentHTML("afterbegin", svg);
      this.svg = this.stage.querySelector("svg");
      this.svg.setAttribute("aria-hidden", "true");
      for (const text of this.svg.querySelectorAll("text:nth-last-of-type(-n+" + (this.run.consumers.length + 1) + ")")) text.remove();
      this.canvas = this.stage.querySelector("canvas");
      this.strip = this.find(".strip");
      this.frames = 0;
      this.isPlaying = false;
      this.wasPlayed = false;
      this.selected = null;
      this.pointed = null;
      this.dots = [];
      this.#places();
      this.#controls();
      this.time = this.run.first + 0.4 * (this.run.last - this.run.first);
      new ResizeObserver(() => this.#resize()).observe(this.stage);
      this.#resize();
      this.find(".scroll").scrollLeft = 1e4; // where it is narrow: the queues and their consumers first
    }

    find(selector) { return this.root.querySelector(selector); }

    #places() {
      const paths = [...this.svg.querySelectorAll('path[fill="none"]')];
      const box = new Map(this.run.places.map(([kind, name, x, y, w, h, row]) => [`${kind} ${name}`, { x, y, w, h, row, name }]));
      const ways = new Map(this.run.ways.map(([from, to], i) => [`${from.join(" ")}>${to.join(" ")}`, this.#points(paths[i])]));
      const exchange = this.run.places.find(([kind]) => kind === "exchange")[1];
      this.publisher = box.get("publishers publishers");
      this.exchange = box.get(`exchange ${exchange}`);
      const first = ways.get(`publishers publishers>exchange ${exchange}`);
      this.queues = this.run.queues.map((name) => {
        const second = ways.get(`exchange ${exchange}>queue ${name}`);
        return { ...box.get(`queue ${name}`), way: [...first, ...second] };
      });
      this.lost = first;
      this.consumers = this.run.consumers.map(([name, queue]) => ({
        ...box.get(`consumer ${name}`), queue, way: ways.get(`queue ${this.run.queues[queue]}>consumer ${name}`),
      }));
    }

    #points(path) {
      const length = path.getTotalLength(), count = 24;
      return Array.from({ length: count + 1 }, (_, i) => path.getPointAtLength((length * i) / count));
    }

    #controls() {
      const { run } = this, range = this.find("input[type=range]"), speed = this.find("select"), message = this.find(".message");
      Object.assign(range, { min: run.first, max: run.last });
      const wanted = (run.last - run.first) / TICKS_PER_S / PLAY_S;
      const nearest = SPEEDS.reduce((a, b) => (Math.abs(Math.log(b / wanted)) < Math.abs(Math.log(a / wanted)) ? b : a));
      speed.innerHTML = SPEEDS.map((each) => `<option value="${each}">${each < 1 ? `1/${1 / each}` : `${each}`}</option>`).join("");
      speed.value = String(nearest);
      this.speed = nearest;
      speed.onchange = () => { this.speed = Number(speed.value); this.draw(); };
      range.oninput = () => { this.pause(); this.seek(Number(range.value) / TICKS_PER_S); };
      this.find(".play").onclick = () => (this.isPlaying ? this.pause() : this.play());
      this.find(".play").hidden = reduced;
      this.find(".next").onclick = () => { this.pause(); this.#step(1); };
      this.find(".back").onclick = () => { this.pause(); this.#step(-1); };
      message.max = Math.max(...run.number);
      message.oninput = () => this.select(message.value === "" ? null : Number(message.value));
      this.find(".unconfirmed").hidden = !run.times.confirmed.length;
      this.find(".special").hidden = !run.special;
      this.find(".special span").textContent = run.special;
      this.find(".sentence").textContent = run.sentence;
      this.canvas.onpointermove = (event) => this.#point(event);
      this.canvas.onpointerleave = () => { this.pointed = null; this.#tell(); this.draw(); };
      this.canvas.onclick = () => this.pointed?.number !== undefined && this.select(this.pointed.number);
      // The keys are ours while one of our controls has them: a notebook has its own for the same ones.
      this.root.addEventListener("keydown", (event) => event.stopPropagation());
    }

    play() {
      if (this.time >= this.run.last || !this.wasPlayed) this.time = this.run.first;
      this.isPlaying = this.wasPlayed = true;
      this.find(".play").textContent = "Pause";
      let before = performance.now();
      const tick = (now) => {
        if (!this.isPlaying || !this.root.host.isConnected) return;
        this.time = Math.min(this.time + ((now - before) / 1000) * this.speed * TICKS_PER_S, this.run.last);
        before = now;
        this.frames += 1;
        this.draw();
        if (this.time >= this.run.last) this.pause();
        else requestAnimationFrame(tick);
      };
      requestAnimationFrame(tick);
    }

    pause() {
      this.isPlaying = false;
      this.find(".play").textContent = "Play";
    }

    seek(time_s) {
      this.#goTo(time_s * TICKS_PER_S);
    }

    #goTo(tick) {
      this.time = Math.min(Math.max(tick, this.run.first), this.run.last);
      this.wasPlayed = true;
      this.draw();
    }

    #step(by) {
      const { moments } = this.run, at = until(moments, this.time);
      const place = by > 0 ? at : moments[at - 1] === this.time ? at - 2 : at - 1;
      this.#goTo(moments[Math.min(Math.max(place, 0), moments.length - 1)]);
    }

    select(number) {
      this.selected = number;
      this.find(".message").value = number ?? "";
      this.#tell();
      this.draw();
    }

    #tell() {
      const pointed = this.pointed;
      let words = this.selected === null ? "" : this.run.story(this.selected) || `No message ${this.selected} is shown.`;
      if (pointed?.number !== undefined) words = this.run.story(pointed.number);
      else if (pointed?.queue !== undefined) {
        const { ready, unacked } = this.run.depth(pointed.queue, this.time);
        words = `${this.run.queues[pointed.queue]} at ${seconds(this.time)}: ${ready} ready, ${unacked} in the hands of consumers.`;
      }
      const story = this.find(".story");
      if (story.textContent !== words) story.textContent = words;
    }

    #point(event) {
      const area = this.canvas.getBoundingClientRect(), scale = this.scale;
      const x = (event.clientX - area.left) / scale, y = (event.clientY - area.top) / scale;
      const near = this.dots.find((dot) => Math.hypot(dot.x - x, dot.y - y) < RADIUS + 2);
      const queue = this.queues.findIndex((box) => x > box.x && x < box.x + box.w && y > box.y && y < box.y + box.h);
      this.pointed = near ? { number: near.number } : queue >= 0 ? { queue } : null;
      this.#tell();
      this.draw();
    }

    #resize() {
      const [, , width, height] = this.svg.getAttribute("viewBox").split(" ").map(Number);
      this.scale = this.stage.clientWidth / width;
      this.ratio = window.devicePixelRatio || 1;
      this.canvas.width = Math.round(width * this.scale * this.ratio);
      this.canvas.height = Math.round(height * this.scale * this.ratio);
      this.strip.width = Math.round(this.strip.clientWidth * this.ratio);
      this.strip.height = STRIP * this.ratio;
      this.#drawStrip();
      this.draw();
    }

    draw() {
      const { run, time } = this, pen = this.canvas.getContext("2d");
      const zoom = this.scale * this.ratio;
      pen.setTransform(1, 0, 0, 1, 0, 0);
      pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
      pen.setTransform(zoom, 0, 0, zoom, 0, 0);
      pen.font = "11px 'DejaVu Sans Mono', Menlo, Consolas, monospace";
      this.pen = pen;
      this.flight = reduced ? 0 : FLIGHT_S * this.speed * TICKS_PER_S;
      this.dots = [];
      const counts = run.counts(time);
      this.#text(`${counts.published} published`, this.publisher, 0);
      if (run.times.confirmed.length) this.#text(`${counts.confirmed} confirmed`, this.publisher, 1);
      if (run.times.returned.length) this.#text(`${counts.returned} returned`, this.exchange, 0);
      this.#drawRefused();
      run.waits.forEach((waits, queue) => this.#drawQueue(waits, queue));
      run.hands.forEach((hand, consumer) => this.#drawConsumer(hand, consumer));
      this.#drawTime(counts);
    }

    #text(words, box, row, align = "center", color = INK) {
      const { pen } = this, x = align === "center" ? box.x + box.w / 2 : box.x + box.w - 8;
      Object.assign(pen, { textAlign: align, fillStyle: color });
      pen.fillText(words, x, box.row + row * 16);
    }

    #dot(copy, x, y, color, options = {}) {
      const { pen } = this, { again, cross, alpha = 1 } = options;
      const isChosen = copy.number === this.selected || copy.number === this.pointed?.number;
      const isOpen = this.run.times.confirmed.length > 0 && !(copy.confirmed !== null && copy.confirmed <= this.time);
      this.dots.push({ x, y, number: copy.number });
      pen.globalAlpha = alpha;
      pen.beginPath();
      if (cross) {
        pen.moveTo(x - RADIUS, y - RADIUS); pen.lineTo(x + RADIUS, y + RADIUS);
        pen.moveTo(x + RADIUS, y - RADIUS); pen.lineTo(x - RADIUS, y + RADIUS);
        Object.assign(pen, { strokeStyle: INK, lineWidth: 1.8 });
        pen.stroke();
      } else {
        const radius = isOpen ? RADIUS - 0.8 : RADIUS;
        if (copy.marked) for (const [dx, dy] of [[0, -1.5], [1.2, 0], [0, 1.5], [-1.2, 0]]) pen.lineTo(x + dx * radius, y + dy * radius);
        else pen.arc(x, y, radius, 0, 7);
        pen.closePath();
        Object.assign(pen, { fillStyle: isOpen ? "#fff" : color, strokeStyle: color, lineWidth: 1.6 });
        pen.fill();
        if (isOpen) pen.stroke();
      }
      if (again || isChosen) {
        pen.beginPath();
        pen.arc(x, y, RADIUS + (isChosen ? 3 : 1.2), 0, 7);
        Object.assign(pen, { strokeStyle: isChosen ? INK : AGAIN, lineWidth: isChosen ? 2 : 1.6 });
        pen.stroke();
      }
      pen.globalAlpha = 1;
    }

    // Where on a way something is that has made this part of it.
    #on(way, part) {
      const at = Math.min(Math.max(part, 0), 1) * (way.length - 1), low = Math.floor(at), high = Math.min(low + 1, way.length - 1);
      const rest = at - low;
      return [way[low].x + (way[high].x - way[low].x) * rest, way[low].y + (way[high].y - way[low].y) * rest];
    }

    // Where a message is drawn that has this place in a box; null where there is no room.
    #slot(box, place, rows, from, right) {
      const columns = Math.floor((box.w - 16 - right) / PITCH);
      if (place >= columns * rows) return null;
      return [box.x + 12 + (place % columns) * PITCH, box.row + from * 16 - 4 + Math.floor(place / columns) * (PITCH + 1)];
    }

    #drawRefused() {
      for (const copy of this.run.copies) {
        if (!copy.refused || copy.published > this.time) continue;
        const part = this.flight ? (this.time - copy.published) / this.flight : 2;
        if (part < 1) this.#dot(copy, ...this.#on(this.lost, part), READY);
        else if (part < 2) this.#dot(copy, this.exchange.x + this.exchange.w / 2, this.exchange.y + this.exchange.h + 4 + 10 * (part - 1), INK, { cross: true, alpha: 2 - part });
      }
    }

    #drawQueue(waits, queue) {
      const { time, flight, run } = this, box = this.queues[queue];
      let place = 0;
      for (const wait of waits) {
        if (wait.from > time || wait.to <= time) continue;
        const copy = run.copies[wait.row], half = (wait.to - wait.from) / 2;
        const into = Math.min(flight, half), out = wait.consumer < 0 ? 0 : Math.min(flight, half), again = wait.by >= 0;
        if (out > 0 && time > wait.to - out) {
          this.#dot(copy, ...this.#on(this.consumers[wait.consumer].way, 1 - (wait.to - time) / out), READY, { again });
        } else if (time < wait.from + into) {
          const part = (time - wait.from) / into;
          const spot = again ? this.#on(this.consumers[wait.by].way, 1 - part) : this.#on(box.way, part);
          this.#dot(copy, ...spot, READY, { again });
        } else {
          const spot = this.#slot(box, place, 3, 1, 0);
          if (spot) this.#dot(copy, ...spot, READY, { again });
          place += 1;
        }
      }
      if (!run.isThere(queue, time)) {
        Object.assign(this.pen, { fillStyle: "rgb(255 255 255 / 70%)" });
        this.pen.fillRect(box.x - 2, box.y - 2, box.w + 4, box.h + 4);
        this.#text("✕ no queue now", box, 0, "center", "#A84A00");
        return;
      }
      const { ready, unacked } = run.depth(queue, time);
      this.#text(`${ready} ready, ${unacked} in hand`, box, 0);
    }

    #drawConsumer(hand, consumer) {
      const { time, flight, run } = this, box = this.consumers[consumer], isGone = run.isGone(consumer, time);
      let place = 0;
      for (const delivery of hand) {
        if (delivery.from > time) break;
        const copy = run.copies[delivery.row], again = delivery.again;
        if (time < delivery.to) {
          const spot = this.#slot(box, place, 1, 0, SIDE);
          place += 1;
          if (spot) this.#dot(copy, ...spot, HELD, { again, cross: run.isLost(delivery, time), alpha: isGone ? 0.6 : 1 });
        } else if (time < delivery.to + flight && (delivery.end === ACKED || delivery.end === REJECTED)) {
          const part = (time - delivery.to) / flight, isAcked = delivery.end === ACKED;
          const x = isAcked ? box.x + box.w + 10 * part : box.x + 20, y = isAcked ? box.y + box.h / 2 : box.y + box.h + 8 * part;
          this.#dot(copy, x, y, DONE, { again, cross: !isAcked, alpha: 1 - part });
        }
      }
      const most = Math.floor((box.w - 16 - SIDE) / PITCH), done = until(run.done[consumer], time);
      const more = place > most ? `+${place - most}, ` : "";
      this.#text(isGone ? `✕ not there, ${done}` : `${more}${done} done`, box, 0, "right", isGone ? "#A84A00" : INK);
    }

    #drawTime(counts) {
      const { run, time } = this, range = this.find("input[type=range]");
      range.value = Math.round(time);
      range.setAttribute("aria-valuetext", seconds(time));
      const mark = run.marks.filter(([at]) => at <= time).pop();
      this.find(".time").textContent = `${seconds(time)}${mark ? ` · ${mark[1]} (${seconds(mark[0], 2)})` : ""}`;
      const words = { received: "delivered", redelivered: "of them again", acked: "acknowledged", rejected: "rejected", requeued: "put back" };
      const shown = Object.keys(words).filter((name) => run.times[name].length || name === "received" || name === "acked");
      const told = shown.map((name) => `${counts[name]} ${words[name]}`).join(" · ");
      this.find(".counts").textContent = told;
      this.canvas.setAttribute("aria-label", `${run.sentence} Shown: ${seconds(time)}.`);
      if (this.pointed?.queue !== undefined) this.#tell();
      const pen = this.strip.getContext("2d"), width = this.strip.width;
      if (!this.background) return;
      pen.putImageData(this.background, 0, 0);
      pen.fillStyle = INK;
      pen.fillRect(((time - run.first) / (run.last - run.first || 1)) * (width - 2 * this.ratio), 0, 2 * this.ratio, this.strip.height);
    }

    // The depth of all queues over time, and what happened.
    #drawStrip() {
      const { run, strip, ratio } = this, pen = strip.getContext("2d"), { width, height } = strip;
      if (!width) return;
      const span = run.last - run.first || 1, columns = Math.ceil(width / ratio);
      const rows = Array.from({ length: columns + 1 }, (_, i) => {
        const depths = run.queues.map((_, queue) => run.depth(queue, run.first + (span * i) / columns));
        return [depths.reduce((sum, each) => sum + each.ready, 0), depths.reduce((sum, each) => sum + each.unacked, 0)];
      });
      const most = Math.max(1, ...rows.map(([ready, out]) => ready + out)), top = 16, floor = height / ratio;
      const y = (count) => floor - (count / most) * (floor - top);
      pen.setTransform(ratio, 0, 0, ratio, 0, 0);
      pen.clearRect(0, 0, width, height);
      for (const [color, low, high] of [["#F2C3A4", () => 0, (row) => row[0]], ["#9DC3E0", (row) => row[0], (row) => row[0] + row[1]]]) {
        pen.beginPath();
        rows.forEach((row, i) => pen.lineTo(i, y(high(row))));
        rows.forEach((_, i) => pen.lineTo(columns - i, y(low(rows[columns - i]))));
        pen.fillStyle = color;
        pen.fill();
      }
      Object.assign(pen, { fillStyle: INK, font: "11px system-ui, sans-serif", textAlign: "right" });
      pen.fillText(`most in the queues (orange) and in hand (blue): ${most}`, columns - 2, 11);
      let free = 0;
      pen.textAlign = "left";
      for (const [at, words] of run.marks) {
        const x = ((at - run.first) / span) * columns;
        Object.assign(pen, { strokeStyle: AGAIN, lineWidth: 1.5 });
        pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, floor); pen.stroke();
        if (x >= free) {
          pen.fillStyle = AGAIN;
          pen.fillText(words, x + 3, 26);
          free = x + pen.measureText(words).width + 8;
        }
      }
      this.background = pen.getImageData(0, 0, width, height);
    }
  }

  function start(host) {
    if (host.shadowRoot || !host.querySelector("script")) return;
    const player = new Player(host);
    host.replay = {
      play: () => player.play(), pause: () => player.pause(), seek: (time_s) => player.seek(time_s),
      time_s: () => player.time / TICKS_PER_S, frames: () => player.frames, isPlaying: () => player.isPlaying,
      last_s: player.run.last / TICKS_PER_S, first_s: player.run.first / TICKS_PER_S,
      counts: () => player.run.counts(player.time), depth: (queue) => player.run.depth(queue, player.time),
      dots: () => player.dots.length, story: (number) => player.run.story(number),
    };
  }

  const before = document.currentScript?.previousElementSibling;
  if (before?.classList.contains("rmqlab-replay")) start(before);
  else document.querySelectorAll(".rmqlab-replay").forEach(start);
})();
