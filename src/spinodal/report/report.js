"use strict";
(async () => {
  // Texts packed into the page: base 85 of what gzip made, with letters that HTML leaves alone (see packed.py).
  const LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%.()*+-;,=:?@^_`{|}~";
  const PLACES = new Uint8Array(128);
  for (let place = 0; place < 85; place += 1) PLACES[LETTERS.charCodeAt(place)] = place;
  async function unpacked(id) {
    const text = document.getElementById(id).textContent.trim();
    const groups = Math.ceil(text.length / 5), missing = 5 * groups - text.length;
    const bytes = new Uint8Array(4 * groups);
    for (let group = 0; group < groups; group += 1) {
      let value = 0;
      for (let index = 5 * group; index < 5 * group + 5; index += 1) value = value * 85 + (index < text.length ? PLACES[text.charCodeAt(index)] : 84);
      for (let byte = 3; byte >= 0; byte -= 1) { bytes[4 * group + byte] = value % 256; value = Math.floor(value / 256); }
    }
    const stream = new Blob([bytes.subarray(0, 4 * groups - missing)]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("figures").textContent = "The figures need a browser of 2023 or later; sentences and tables do not.";
    return;
  }
  const data = JSON.parse(await unpacked("data"));
  const library = document.createElement("script");
  library.textContent = await unpacked("library"); // the page's policy allows exactly this text
  document.head.append(library);
  const {axis, phases, transitions} = data;
  const beta = axis.beta;
  const MARKED = 3000; // markers of one figure up to which every point gets one
  const PRINT_WIDTH = 680; // pixels of a page between its margins
  const ZOOM = 0.045; // decades shown on either side of a chosen transition
  const LINE = 46; // characters of a line shown on hovering
  const SMALL = 576; // pixels of a window in which values are shown below instead of beside the pointer
  const FEW = 30; // minor transitions up to which their lines go all the way up
  const SPARSE = 5; // closed forms up to which their lines are wide
  const NAMED = 8; // curves up to which a legend names them

  // Okabe & Ito's palette; the dark variants keep their order.
  const LIGHT = {
    ink: "#1a1a1a", faint: "#5c5c5c", grid: "#e4e4e4", bands: ["rgba(0,0,0,0)", "rgba(0,0,0,0.045)"], accent: "#0072b2",
    chosen: "rgba(86,180,233,0.25)", exact: "rgba(230,159,0,0.55)", card: "#ffffff",
    curves: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"],
  };
  const DARK = {
    ink: "#e8e8e8", faint: "#a8a8a8", grid: "#33373d", bands: ["rgba(255,255,255,0)", "rgba(255,255,255,0.06)"], accent: "#56b4e9",
    chosen: "rgba(86,180,233,0.25)", exact: "rgba(230,159,0,0.55)", card: "#20242a",
    curves: ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#0072B2", "#D55E00"],
  };
  const WAYS = {up: 1, down: 0}; // their colours
  const INDICES = ["solid", "dash", "dot"]; // lines by index, from 0
  const MARKERS = {
    spinodal: {symbol: "circle", size: 10}, fold: {symbol: "circle-open", size: 9}, minor: {symbol: "circle", size: 5},
    branch: {symbol: "square-open", size: 9}, coexistence: {symbol: "diamond", size: 9}, barrier: {symbol: "triangle-up", size: 10},
  };
  const CHANGES = {step: {symbol: "triangle-down", size: 10}, "sign change": {symbol: "x", size: 9}};
  const ONE_KIND = {error: 0, norm: 2, margin: 3, observable: 0};
  const LABELLED = ["error", "accuracy"]; // figures in which transitions are named
  const LABEL = 15; // pixels that a name beside a line needs
  const DASHES = ["solid", "dash", "dashdot", "dot"];

  // What is shown: the unit of the axis, the zoom in log10 beta, what is chosen. It begins where E changes.
  const whole = axis.limits.map(Math.log10), first = axis.first.map(Math.log10);
  const UNIT = "spinodal: unit of the axis"; // under which the browser keeps what was chosen last
  const kept = () => { try { return localStorage.getItem(UNIT); } catch { return null; } };
  const keep = unit => { try { localStorage.setItem(UNIT, unit); } catch { /* a page that may keep nothing */ } };
  const state = {decay: kept() !== "beta", range: first.every((end, side) => end === whole[side]) ? null : first, transition: null, phase: null, print: false};
  const zoomed = () => state.range !== null && state.range !== first;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)");
  const printing = window.matchMedia("print");

  const escaped = text => String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const lines = text => escaped(text).replace(/\n/g, "<br>");
  const scaled = values => state.decay ? values.map(value => value === null ? null : 2 * value) : values;
  const shift = () => state.decay ? Math.log10(2) : 0;
  const visible = plot => (plot && plot.limits && !zoomed() ? plot.limits : state.range) || whole;
  const theme = () => dark.matches && !state.print ? DARK : LIGHT;

  // Rows of points with a gap between phases, so that no line crosses a transition.
  const rows = axis.pieces.flatMap(([start, stop], index) => {
    const piece = Array.from({length: stop - start}, (_, offset) => start + offset);
    return index ? [null, ...piece] : piece;
  });
  const at = (values, row) => row === null ? null : values[row];

  // A symmetric logarithmic axis: values of both signs by their order of magnitude, linear below a size.
  const symmetric = panel => panel.scale === "symlog";
  const placed = (panel, value) => value === null || !symmetric(panel) ? value : Math.asinh(value / (2 * panel.linear_below)) / Math.LN10;
  const phaseOf = row => axis.pieces.findIndex(([start, stop]) => row >= start && row < stop);

  // Texts side by side on lines of moderate length; a long one is broken between its words.
  function packed(texts) {
    const found = [""];
    const add = (text, space) => {
      const line = found[found.length - 1];
      if (line && line.length + space.length + text.length > LINE) found.push(text);
      else found[found.length - 1] = line ? line + space + text : text;
    };
    for (const text of texts) {
      if (text.length <= LINE) { add(text, "   "); continue; }
      found.push("");
      text.split(" ").forEach(word => add(word, " "));
      found.push("");
    }
    return found.filter(Boolean).map(escaped).join("<br>");
  }
  const hover = beta.map((_, row) => packed([
    `phase: ${phases[phaseOf(row)].id}`,
    ...data.columns.filter(column => column.cells[row]).map(column => `${column.name}: ${column.cells[row]}`),
  ]));
  const hoverOfRows = rows.map(row => at(hover, row));
  const betaOfRows = rows.map(row => at(beta, row));

  const plots = Array.from(document.querySelectorAll("figure[data-figure]")).map(figure => {
    const record = data.figures[Number(figure.dataset.figure)];
    return {
      figure, record, kind: record.kind, choices: record.choices, choice: 0, place: figure.querySelector(".plot"),
      limits: record.limits ? record.limits.map(Math.log10) : null,
    };
  });
  const chosen = plot => plot.choices[plot.choice];

  const small = () => window.innerWidth < SMALL;
  const hovering = () => small() ? {hoverinfo: "none"} : {hovertemplate: "%{text}<extra></extra>"};

  function curveTraces(panel, colours) {
    const marked = panel.curves.length * beta.length <= MARKED;
    const alike = panel.key in ONE_KIND && panel.curves.length === 1;
    return panel.curves.flatMap((curve, number) => {
      const colour = colours.curves[alike ? ONE_KIND[panel.key] : number % colours.curves.length];
      const line = {
        color: colour, width: panel.whole && number === 0 ? 4 : 1.6, shape: panel.whole ? "hvh" : "linear",
        dash: alike ? "solid" : DASHES[number % DASHES.length],
      };
      const trace = {
        type: "scatter", name: escaped(curve.name), x: scaled(betaOfRows), y: rows.map(row => placed(panel, at(curve.values, row))), line,
        mode: marked ? "lines+markers" : "lines", marker: {size: 4, color: colour}, customdata: rows, meta: "point",
        text: panel.curves.length > 1
          ? rows.map((row, index) => row === null ? null : `<b>${escaped(curve.name)}: ${curve.values[row]}</b><br>${hoverOfRows[index]}`)
          : hoverOfRows,
        showlegend: panel.curves.length > 1 && panel.curves.length <= NAMED && !alike, ...hovering(),
      };
      return curve.spread ? [...bandTraces(panel, curve, colour), trace] : [trace];
    });
  }

  // A filled band per phase: the values less and plus their errors.
  function bandTraces(panel, curve, colour) {
    return axis.pieces.map(([start, stop]) => {
      const known = [];
      for (let row = start; row < stop; row += 1) {
        const value = curve.values[row];
        if (value !== null && curve.spread[row] !== null && (panel.scale !== "log" || value > 0)) known.push(row);
      }
      const floor = panel.scale === "log" ? 1e-12 : -Infinity;
      const back = known.slice().reverse();
      return {
        type: "scatter", mode: "lines", fill: "toself", fillcolor: `${colour}33`, line: {width: 0}, hoverinfo: "skip", showlegend: false,
        x: scaled([...known, ...back].map(row => beta[row])),
        y: [
          ...known.map(row => curve.values[row] + curve.spread[row]), ...back.map(row => Math.max(curve.values[row] - curve.spread[row], floor)),
        ].map(value => placed(panel, value)),
      };
    }).filter(trace => trace.x.length > 2);
  }

  // Change points of the curvature, at the top of their figure, in the colour of their curve.
  function changeTraces(plot, colours) {
    return Object.entries(CHANGES).map(([kind, look]) => {
      const found = (plot.record.marks || []).filter(mark => mark.kind === kind);
      return {
        type: "scatter", mode: "markers", yaxis: "y2", name: kind, meta: "change", showlegend: false, x: scaled(found.map(mark => mark.beta)),
        y: found.map(mark => mark.height), text: found.map(mark => packed(mark.text.split("\n"))),
        marker: {...look, color: found.map(mark => colours.curves[mark.curve])}, ...hovering(),
      };
    }).filter(trace => trace.x.length);
  }

  function recallTraces(recall, colours) {
    return [{
      type: "heatmap", x: scaled(axis.edges), y: recall.classes.map((_, index) => index), z: recall.rows, zmin: 0, zmax: 1,
      colorscale: "Cividis", meta: "cell", colorbar: {thickness: 10, title: {text: "recall", side: "right"}, tickfont: {color: colours.faint}},
      text: recall.rows.map((row, index) => row.map((value, point) =>
        `<b>class ${escaped(recall.classes[index])}: recall ${value === null ? "–" : value}</b><br>${hover[point]}`)), ...hovering(),
    }];
  }

  // -- branches and the tree ----------------------------------------------------------------

  const branchText = (branch, row) => packed([
    `branch of phase: ${branch.phase}`, `β: ${branch.beta[row]}`, `weight_decay: ${2 * branch.beta[row]}`,
    `E: ${branch.values.error[row]}`, `‖θ‖²: ${branch.values.norm_squared[row]}`,
    `L: ${(branch.values.error[row] + branch.beta[row] * branch.values.norm_squared[row]).toPrecision(7)}`,
    `L − lowest L: ${branch.values.excess[row] === null ? "–" : branch.values.excess[row]}`,
    `index: ${branch.exact ? "" : "≥ "}${branch.index[row]}`, `margin: ${branch.margin[row] === null ? "–" : branch.margin[row]}`,
  ]);
  const walkText = (name, way, row) => packed([
    name, `β: ${way.beta[row]}`, `weight_decay: ${2 * way.beta[row]}`, `E: ${way.values.error[row]}`,
    `‖θ‖²: ${way.values.norm_squared[row]}`, `L − lowest L: ${way.values.excess[row] === null ? "–" : way.values.excess[row]}`,
  ]);

  // A colour with an opacity in place of its own.
  const faded = (colour, part) => `${colour}${Math.round(255 * part).toString(16).padStart(2, "0")}`;

  // None of the colours of the ways.
  function branchColour(number, colours) {
    const list = [colours.ink, ...[2, 3, 5].map(index => colours.curves[index]), colours.faint];
    return list[number % list.length];
  }

  function branchTraces(plot, colours) {
    const {branches, ways, extensions, marks} = plot.record;
    const {key} = chosen(plot), looped = ways.length > 1;
    const shade = looped && key !== "excess" ? [{
      type: "scatter", mode: "lines", fill: "toself", fillcolor: faded(colours.curves[4], 0.2), line: {width: 0}, hoverinfo: "skip", showlegend: false,
      x: scaled(ways.flatMap(way => way.beta)), y: ways.flatMap(way => way.values[key]),
    }] : [];
    const steps = ways.map(way => ({
      type: "scatter", mode: "lines", name: `way ${way.direction}`, meta: "way", showlegend: false,
      x: scaled(way.beta), y: way.values[key], text: way.beta.map((_, row) => walkText(`way ${way.direction}`, way, row)),
      line: {color: faded(colours.curves[WAYS[way.direction]], 0.45), width: looped ? 6 : 4}, ...hovering(),
    }));
    // A point of a branch at which a mark stands tells what the mark tells, whichever of the two the pointer finds.
    const markText = (branch, row) => {
      const close = (a, b) => Math.abs(a - b) <= 1e-6 * (Math.abs(a) + Math.abs(b));
      const found = marks.find(mark => mark.phase === branch.phase && close(mark.beta, branch.beta[row]) && close(mark.values[key], branch.values[key][row]));
      return found && packed(found.text.split("\n"));
    };
    const curves = branches.flatMap((branch, number) => branch.stretches.map(([start, stop, index], part) => {
      const rowsOfPart = Array.from({length: stop - start}, (_, offset) => start + offset);
      return {
        type: "scatter", mode: "lines", name: `branch of phase ${branch.phase}`, meta: "branch", legendgroup: `branch ${number}`,
        showlegend: part === 0 && branches.length > 1 && branches.length <= NAMED,
        x: scaled(rowsOfPart.map(row => branch.beta[row])), y: rowsOfPart.map(row => branch.values[key][row]),
        text: rowsOfPart.map(row => markText(branch, row) || branchText(branch, row)), customdata: rowsOfPart.map(() => branch.phase),
        line: {color: branchColour(number, colours), width: 2, dash: INDICES[index]}, ...hovering(),
      };
    }));
    const points = Object.entries(MARKERS).map(([kind, look]) => {
      const found = marks.filter(mark => mark.kind === kind);
      return {
        type: "scatter", mode: "markers", name: kind, meta: "mark", showlegend: false, x: scaled(found.map(mark => mark.beta)),
        y: found.map(mark => mark.values[key]), text: found.map(mark => packed(mark.text.split("\n"))), customdata: found.map(mark => mark.phase),
        marker: {...look, color: colours.ink, line: {width: 1.5, color: colours.ink}}, ...hovering(),
      };
    }).filter(trace => trace.x.length);
    const further = extensions.map(item => ({
      type: "scatter", mode: "lines", name: `phase ${item.phase}`, meta: "branch", showlegend: false, x: scaled(item.beta), y: item.values[key],
      text: item.beta.map((_, row) => walkText(`phase ${item.phase}`, item, row)), customdata: item.beta.map(() => item.phase),
      line: {color: colours.faint, width: 1.2}, ...hovering(),
    }));
    return [...shade, ...further, ...steps, ...curves, ...points];
  }

  function branchArrows(plot, colours) {
    const key = chosen(plot).key;
    return plot.record.ways.flatMap(way => way.starts.slice(1).map(behind => ({
      ...arrow([way.beta[behind - 1], way.values[key][behind - 1]], [way.beta[behind], way.values[key][behind]]),
      arrowcolor: colours.curves[WAYS[way.direction]],
    })));
  }

  // An arrow between two points, both on the axes.
  const arrow = ([fromBeta, from], [toBeta, to]) => ({
    xref: "x", yref: "y", axref: "x", ayref: "y", showarrow: true, text: "", arrowhead: 2, arrowwidth: 1.6, standoff: 2,
    x: Math.log10(toBeta) + shift(), ax: Math.log10(fromBeta) + shift(), y: to, ay: from,
  });

  function treeTraces(plot, colours) {
    const {bars, falls} = plot.record;
    const edge = 10 ** visible(plot)[0];
    const lines = bars.flatMap((bar, row) => [["stable", 9], ["metastable", 2.5]].map(([kind, width]) => {
      const ends = bar[kind].flatMap(([low, high]) => [Math.max(low, Math.min(edge, plot.record.limits[0])), (low + high) / 2, high, null]);
      return {
        type: "scatter", mode: "lines", meta: "bar", showlegend: false, x: scaled(ends), y: ends.map(end => end === null ? null : row),
        text: ends.map(() => packed(bar.text.split("\n"))), customdata: ends.map(() => bar.phase), line: {color: colours.ink, width}, ...hovering(),
      };
    }));
    const lasting = bars.map((bar, row) => ({bar, row})).filter(item => item.bar.range[0] === 0);
    const places = [
      {symbol: "triangle-left", size: 11, color: lasting.map(() => colours.ink), list: lasting.map(({bar, row}) => ({beta: edge, row, phase: bar.phase, text: bar.text}))},
      {symbol: falls.map(fall => fall.to === null ? "x" : "circle"), size: 8, color: falls.map(fall => colours.curves[WAYS[fall.direction]]), list: falls},
    ];
    return [...lines, ...places.map(({symbol, size, color, list}) => ({
      type: "scatter", mode: "markers", meta: "bar", showlegend: false, cliponaxis: false, x: scaled(list.map(item => item.beta)), y: list.map(item => item.row),
      text: list.map(item => packed(item.text.split("\n"))), customdata: list.map(item => item.phase), marker: {symbol, size, color}, ...hovering(),
    }))].filter(trace => trace.x.length);
  }

  const treeArrows = (plot, colours) => plot.record.falls.filter(fall => fall.to !== null).map(fall => ({
    ...arrow([fall.beta, fall.row], [fall.beta, fall.to]), standoff: 6, arrowcolor: colours.curves[WAYS[fall.direction]],
  }));

  // Lines of many vertices, so that they can be pointed at anywhere; on an axis of their own from 0 to 1.
  function markTrace(marks, name, line, top = 1) {
    const count = top < 1 ? 3 : 33;
    const height = Array.from({length: count}, (_, index) => top * index / (count - 1));
    return {
      type: "scatter", mode: "lines", yaxis: "y2", name, line, showlegend: false, meta: name,
      x: scaled(marks.flatMap(mark => [...height.map(() => mark.beta), null])),
      y: marks.flatMap(() => [...height, null]),
      text: marks.flatMap(mark => [...height.map(() => lines(mark.text)), null]),
      customdata: marks.flatMap(mark => [...height.map(() => mark.number), null]), ...hovering(),
    };
  }
  const minor = axis.minor.map(value => ({beta: value, number: null, text: `minor transition\nβ: ${value}`}));
  const named = transitions.map(item => ({...item, text: `transition ${item.number}\n${item.text}`}));
  const marks = colours => [
    markTrace(data.exact.map(item => ({...item, number: null})), "exact", {color: colours.exact, width: data.exact.length <= SPARSE ? 6 : 2.5}),
    minor.length <= FEW
      ? markTrace(minor, "minor", {color: colours.faint, width: 1, dash: "dot"})
      : markTrace(minor, "minor", {color: colours.faint, width: 1}, 0.05),
    markTrace(named, "transition", {color: colours.ink, width: 1.2}),
  ].filter(trace => trace.x.length);

  const walked = phases.filter(phase => phase.walked); // of a loop, on the way up
  const across = {xref: "x", yref: "paper", y0: 0, y1: 1};
  const uprights = (betas, line) => betas.map(value => ({...across, type: "line", x0: scaled([value])[0], x1: scaled([value])[0], ...line}));

  // Phases as shades, and the transition that is chosen.
  function shades(plot, colours) {
    const [low, high] = visible(plot).map(value => 10 ** value);
    const bands = walked.filter(phase => phase.high > low && phase.low < high).map(phase => ({
      ...across, type: "rect", layer: "below", line: {width: 0},
      x0: scaled([phase.low])[0], x1: scaled([phase.high])[0],
      fillcolor: phase.id === state.phase ? colours.chosen : colours.bands[phase.id % 2],
    }));
    const found = transitions.filter(item => item.number === state.transition).map(item => item.beta);
    return [...bands, ...uprights(found, {line: {color: colours.accent, width: 4}})];
  }

  // Names of the phases above the figure, as far as there is room for them.
  function phaseNames(width, colours) {
    const [low, high] = visible();
    return walked.map(phase => {
      const from = Math.max(Math.log10(phase.low), low), to = Math.min(Math.log10(phase.high), high);
      const room = (to - from) / (high - low) * width;
      const text = room > 60 ? `phase ${phase.id}` : room > 7 * String(phase.id).length + 4 ? `${phase.id}` : "";
      return {
        x: (from + to) / 2 + shift(), xref: "x", y: 1, yref: "paper", yanchor: "bottom", showarrow: false, text, name: `phase ${phase.id}`,
        captureevents: true, font: {size: 11, color: phase.id === state.phase ? colours.accent : colours.faint},
      };
    }).filter(item => item.text);
  }

  // The least and the largest of values whose beta lies within bounds; on a logarithmic axis of the positive ones.
  function extent(curves, [low, high], log = false) {
    let least = Infinity, most = -Infinity;
    for (const [places, values] of curves) {
      values.forEach((value, row) => {
        if (value === null || (log && value <= 0) || places[row] < low || places[row] > high) return;
        least = Math.min(least, value);
        most = Math.max(most, value);
      });
    }
    return [least, most];
  }

  // The vertical range of the branches and ways that are visible.
  function branchRange(plot) {
    const curves = [...plot.record.branches, ...plot.record.ways].map(curve => [curve.beta, curve.values[chosen(plot).key]]);
    const [least, most] = extent(curves, visible(plot).map(value => 10 ** value));
    if (least > most) return [0, 1];
    const room = (most - least) || Math.abs(most) || 1;
    return [least - 0.05 * room, most + 0.06 * room];
  }

  // The vertical range of what is visible; from zero where nothing is zoomed.
  function valueRange(panel) {
    const log = panel.scale === "log";
    const bounds = state.range ? state.range.map(value => 10 ** value) : [0, Infinity];
    let [least, most] = extent(panel.curves.map(curve => [beta, curve.values]), bounds, log);
    if (least > most) return log ? [-6, 0] : [0, 1];
    if (log) return [Math.log10(least) - 0.15, Math.log10(most) + 0.15];
    if (symmetric(panel)) return [placed(panel, least) - 0.3, placed(panel, most) + 0.3];
    if (!zoomed()) [least, most] = [Math.min(least, 0), Math.max(most, panel.most || most)];
    const room = (most - least) || Math.abs(most) || 1;
    return [least - 0.05 * room, most + 0.06 * room];
  }

  // Zero, and the powers of ten on either side of it, so that no more than a dozen are named.
  function symmetricTicks(panel) {
    const [low, high] = valueRange(panel);
    const decades = Math.max(Math.ceil(Math.max(Math.abs(low), Math.abs(high))), 1), stride = Math.ceil(decades / 5);
    const powers = Array.from({length: decades + 1}, (_, power) => power).filter(power => power % stride === 0);
    const first = Math.round(Math.log10(panel.linear_below));
    const named = (sign, power) => ({value: sign * 10 ** (first + power), text: `${sign < 0 ? "−" : ""}10<sup>${first + power}</sup>`});
    const ticks = [...powers.map(power => named(-1, power)), {value: 0, text: "0"}, ...powers.map(power => named(1, power))];
    return {tickvals: ticks.map(tick => placed(panel, tick.value)), ticktext: ticks.map(tick => tick.text)};
  }

  function wholeTicks(panel) {
    const [low, high] = valueRange(panel);
    return {tickformat: "d", tick0: 0, dtick: Math.max(1, Math.ceil((high - low) / 9))};
  }

  // Labels at 1, 2, 5 of every decade while there is room for them, at whole decades beyond.
  function ticks(plot, narrow) {
    const decades = visible(plot)[1] - visible(plot)[0];
    if (decades < 1) return {nticks: narrow ? 4 : 8};
    return decades < (narrow ? 3 : 5) ? {dtick: "D2"} : {dtick: Math.ceil(decades / (narrow ? 5 : 10))};
  }

  function classTicks(recall) {
    const named = {tickvals: recall.classes.map((_, index) => index), ticktext: recall.classes.map(escaped)};
    return {range: [-0.5, recall.classes.length - 0.5], showgrid: false, ...(recall.classes.length > 20 ? {} : named)};
  }

  const INSIDE = {orientation: "v", x: 0.01, y: 0.02, xanchor: "left", yanchor: "bottom", bgcolor: "rgba(0,0,0,0)", font: {size: 11}};

  const curveAxis = panel => ({
    range: valueRange(panel), type: symmetric(panel) ? "linear" : panel.scale,
    ...(panel.whole ? wholeTicks(panel) : symmetric(panel) ? symmetricTicks(panel) : {exponentformat: "power"}),
  });
  const coexistenceLines = (plot, colours) =>
    uprights(plot.record.coexistence || [], {layer: "below", line: {color: colours.faint, width: 1.2, dash: "dashdot"}});

  // What the kinds of figures have of their own; heights in a wide and in a narrow window.
  const ids = (plot, colours, width) => [...phaseNames(width, colours), ...goneNames(plot, width, colours)];

  // The end of an upright name that keeps out of the way of the first curve of its figure.
  function aside(plot, value) {
    const panel = chosen(plot), [low, high] = valueRange(panel);
    const row = beta.reduce((best, own, index) => own <= value && (best < 0 || own > beta[best]) ? index : best, -1);
    const height = row < 0 ? 0 : (placed(panel, panel.curves[0].values[row]) - low) / (high - low);
    return height < 0.5 ? {y: 0.98, yanchor: "top"} : {y: 0.02, yanchor: "bottom"};
  }

  // What goes at each transition, upright beside its line, as far as there is room: names that would merge are left out.
  function goneNames(plot, width, colours) {
    if (!LABELLED.includes(chosen(plot).key)) return [];
    const [low, high] = visible(plot);
    const place = item => (Math.log10(item.beta) - low) / (high - low) * width;
    let last = -Infinity;
    return transitions.filter(item => {
      const fits = item.gone && place(item) >= 0 && place(item) <= width && place(item) - last >= LABEL;
      if (fits) last = place(item);
      return fits;
    }).map(item => ({
      x: Math.log10(item.beta) + shift(), xref: "x", yref: "paper", xanchor: "right", textangle: -90, showarrow: false, ...aside(plot, item.beta),
      text: escaped(item.gone), font: {size: 10, color: item.number === state.transition ? colours.accent : colours.faint}, borderpad: 0,
    }));
  }
  const KINDS = {
    curves: {
      traces: (plot, colours) => [...curveTraces(chosen(plot), colours), ...marks(colours), ...changeTraces(plot, colours)],
      vertical: plot => curveAxis(chosen(plot)),
      shapes: (plot, colours) => [...shades(plot, colours), ...coexistenceLines(plot, colours)], annotations: ids, height: () => [300, 260],
    },
    recall: {
      traces: (plot, colours) => [...recallTraces(chosen(plot), colours), ...marks(colours)],
      vertical: plot => classTicks(chosen(plot)), shapes: shades, annotations: ids, height: () => [300, 260],
    },
    branches: {
      traces: branchTraces, annotations: branchArrows, height: () => [420, 320], legend: {orientation: "h", x: 0, y: 1},
      vertical: plot => ({range: branchRange(plot), exponentformat: "power"}),
      shapes: coexistenceLines,
    },
    tree: {
      traces: treeTraces, annotations: treeArrows, shapes: () => [],
      vertical: ({record: {bars}}) => ({
        range: [-0.6, bars.length - 0.4], showgrid: false, tickvals: bars.map((_, row) => row), ticktext: bars.map(bar => `phase ${bar.phase}`),
      }),
      height: ({record: {bars}}) => Array(2).fill(Math.max(190, 110 + 26 * bars.length)),
    },
  };

  function layout(plot, colours) {
    const panel = chosen(plot);
    const narrow = plot.place.clientWidth < 480;
    const width = state.print ? PRINT_WIDTH : plot.place.clientWidth;
    const margin = {l: 76, r: plot.kind === "recall" ? 70 : 12, t: 22, b: 54};
    const lineOf = {gridcolor: colours.grid, linecolor: colours.faint, tickcolor: colours.faint, zeroline: false, ticks: "outside", showline: true};
    const kind = KINDS[plot.kind];
    return {
      width, height: kind.height(plot)[narrow ? 1 : 0], margin, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {family: "system-ui, sans-serif", size: 12, color: colours.ink}, hovermode: "closest", hoverdistance: 12,
      hoverlabel: {bgcolor: colours.card, bordercolor: colours.faint, align: "left", font: {size: 11, color: colours.ink}},
      modebar: {bgcolor: "rgba(0,0,0,0)", color: colours.faint, activecolor: colours.accent}, dragmode: touch.matches ? false : "zoom", 
      shapes: kind.shapes(plot, colours), annotations: kind.annotations(plot, colours, width - margin.l - margin.r),
      legend: {...INSIDE, ...kind.legend},
      xaxis: {
        type: "log", range: visible(plot).map(value => value + shift()), exponentformat: "power", ...ticks(plot, narrow),
        title: {text: state.decay ? "weight_decay = 2β" : "β   (L = E + β‖θ‖²)", standoff: 12}, ...lineOf,
      },
      yaxis: {title: {text: lines(panel.label), standoff: 6}, fixedrange: true, ...lineOf, ...kind.vertical(plot)},
      yaxis2: {overlaying: "y", range: [0, 1], visible: false, fixedrange: true},
    };
  }

  const CONFIG = {
    displaylogo: false, doubleClick: false, modeBarButtons: [["toImage"]], toImageButtonOptions: {format: "svg"},
    displayModeBar: touch.matches ? false : "hover", showTips: false,
  };

  function draw(plot) {
    const colours = theme();
    return Plotly.react(plot.place, KINDS[plot.kind].traces(plot, colours), layout(plot, colours), CONFIG);
  }
  const drawAll = () => Promise.all(plots.map(draw));

  // -- choosing and zooming ---------------------------------------------------------------

  const nameOf = phase => `phase ${phase.id}${phase.rank === null ? "" : `: rank ${phase.rank}`}`;

  function show(kind, key) {
    document.querySelectorAll("tr.chosen").forEach(row => row.classList.remove("chosen"));
    const output = document.getElementById("selection");
    output.textContent = "";
    if (kind === null) return;
    document.getElementById(`${kind}-${key}`).classList.add("chosen");
    const found = kind === "transition" ? transitions.find(item => item.number === key).short : nameOf(phases[key]);
    const link = document.createElement("a");
    link.href = `#${kind}-${key}`;
    link.textContent = "to its row";
    output.append(`${found} – `, link);
  }

  // The text is this script's own, its parts escaped.
  function showValues(text) {
    const values = document.getElementById("values");
    values.hidden = !text;
    values.querySelector("p").innerHTML = text || "";
  }

  function choose(kind, key, {zoom = false} = {}) {
    state.transition = kind === "transition" ? key : null;
    state.phase = kind === "phase" ? key : null;
    if (zoom && kind === "transition") {
      const centre = Math.log10(transitions.find(item => item.number === key).beta);
      state.range = [centre - ZOOM, centre + ZOOM];
    }
    if (zoom && kind === "phase") {
      const {low, high} = phases[key];
      const room = 0.08 * Math.log10(high / low);
      state.range = [Math.log10(low) - room, Math.log10(high) + room];
    }
    show(kind, key);
    return drawAll();
  }

  function zoomBy(factor) {
    const [low, high] = visible();
    const centre = (low + high) / 2, half = (high - low) / 2 * factor;
    state.range = half >= (whole[1] - whole[0]) / 2 ? null : [centre - half, centre + half];
    return drawAll();
  }

  function setAxis(decay) {
    state.decay = decay;
    keep(decay ? "weight_decay" : "beta");
    showAxis();
    return drawAll();
  }
  function showAxis() {
    const {decay} = state;
    document.getElementById("axis-beta").setAttribute("aria-pressed", String(!decay));
    document.getElementById("axis-decay").setAttribute("aria-pressed", String(decay));
  }

  function listen(plot) {
    plot.place.on("plotly_relayout", change => {
      if (!("xaxis.range[0]" in change)) return;
      state.range = [change["xaxis.range[0]"] - shift(), change["xaxis.range[1]"] - shift()];
      drawAll();
    });
    plot.place.addEventListener("pointermove", event => cross(plot, event));
    plot.place.addEventListener("pointerleave", uncross);
    plot.place.on("plotly_hover", event => { if (small()) showValues(event.points[0].text); });
    plot.place.on("plotly_doubleclick", () => { state.range = null; drawAll(); });
    plot.place.on("plotly_click", event => {
      const point = event.points[0];
      if (point.data.meta === "transition") choose("transition", point.customdata);
      else if (point.data.meta === "point") choose("phase", phases[phaseOf(point.customdata)].id);
      else if (["branch", "mark", "bar"].includes(point.data.meta)) choose("phase", point.customdata);
      else if (point.data.meta === "cell") choose("phase", phases[phaseOf(point.pointIndex[1])].id);
    });
    plot.place.on("plotly_clickannotation", event => { if (event.annotation.name) choose("phase", Number(event.annotation.name.split(" ")[1])); });
    const select = plot.figure.querySelector("select");
    if (select) select.addEventListener("change", () => { plot.choice = Number(select.value); describe(plot); draw(plot); });
  }

  // What is said of a figure beside it, and to those who do not see it.
  function describe(plot) {
    const note = plot.figure.querySelector("figcaption small");
    if (note) note.textContent = chosen(plot).note;
    plot.place.setAttribute("aria-label", chosen(plot).meaning);
  }

  // One crosshair over all figures: where the pointer is in one of them, the same beta in the others.
  const axisOf = plot => plot.place._fullLayout && plot.place._fullLayout.xaxis;
  function cross(plot, event) {
    const axis = axisOf(plot);
    const inside = axis ? event.clientX - plot.place.getBoundingClientRect().left - axis._offset : -1;
    if (!axis || inside < 0 || inside > axis._length) { uncross(); return; }
    const value = axis.p2l(inside) - shift();
    const low = 10 ** value;
    document.getElementById("pointed").textContent = `weight_decay ${(2 * low).toPrecision(4)}, β ${low.toPrecision(4)}`;
    plots.forEach(other => {
      const own = axisOf(other);
      if (!own) return;
      if (!other.cross) { other.cross = document.createElement("div"); other.cross.className = "cross"; other.place.append(other.cross); }
      const at = own.l2p(value + shift()), size = other.place._fullLayout._size;
      other.cross.style.cssText = `left: ${own._offset + at}px; top: ${size.t}px; height: ${size.h}px`;
      other.cross.hidden = at < 0 || at > own._length;
    });
  }
  function uncross() {
    document.getElementById("pointed").textContent = "";
    plots.forEach(other => { if (other.cross) other.cross.hidden = true; });
  }

  // Files to save, from what the page holds.
  const quoted = cell => /[",\n]/.test(cell) ? `"${cell.replace(/"/g, '""')}"` : cell;
  const csv = rowsOfCells => rowsOfCells.map(row => row.map(cell => quoted(String(cell))).join(",")).join("\r\n") + "\r\n";
  const tableCells = kind => Array.from(document.querySelectorAll(`table[data-kind="${kind}"] tr`))
    .map(row => Array.from(row.cells).map(cell => cell.textContent.trim()));
  const FILES = {
    "points.csv": () => csv([data.columns.map(column => column.name), ...beta.map((_, row) => data.columns.map(column => column.cells[row]))]),
    "transitions.csv": () => csv(tableCells("transition")),
    "phases.csv": () => csv(tableCells("phase")),
    "result.json": () => `${JSON.stringify(data.result, null, 1)}\n`,
  };
  function save(name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([FILES[name]()], {type: name.endsWith("json") ? "application/json" : "text/csv"}));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // Tables that are wider than the window say so.
  const measureTables = () => document.querySelectorAll(".scroll").forEach(box => box.classList.toggle("wider", box.scrollWidth > box.clientWidth + 1));

  function setPrint(print) {
    if (state.print === print) return;
    state.print = print;
    drawAll();
  }

  document.getElementById("axis-beta").addEventListener("click", () => setAxis(false));
  document.getElementById("axis-decay").addEventListener("click", () => setAxis(true));
  document.getElementById("zoom-in").addEventListener("click", () => zoomBy(0.5));
  document.getElementById("zoom-out").addEventListener("click", () => zoomBy(2));
  document.querySelector("#values button").addEventListener("click", () => showValues(null));
  document.getElementById("whole").addEventListener("click", () => { state.range = null; choose(null, null); });
  document.querySelectorAll("table[data-kind] tr[data-key]").forEach(row => {
    const kind = row.closest("table").dataset.kind;
    row.addEventListener("click", () => choose(kind, Number(row.dataset.key), {zoom: true}));
  });
  dark.addEventListener("change", drawAll);
  window.addEventListener("beforeprint", () => setPrint(true));
  window.addEventListener("afterprint", () => setPrint(false));
  printing.addEventListener("change", event => setPrint(event.matches));
  let waiting = null;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(drawAll, 100); });

  document.querySelectorAll("[data-save]").forEach(button => button.addEventListener("click", () => save(button.dataset.save)));
  document.getElementById("downloads").hidden = false;
  document.querySelectorAll("details").forEach(details => details.addEventListener("toggle", measureTables));
  window.addEventListener("resize", measureTables);
  measureTables();
  showAxis();
  document.getElementById("stretch").hidden = state.range === null;
  drawAll().then(() => { plots.forEach(listen); document.documentElement.dataset.drawn = "yes"; });
})();
