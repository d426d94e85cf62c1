// Search without a server: a page that was opened from the disk may start no worker, so a hidden frame takes its place.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.documentElement.append(frame);
      const inside = frame.contentWindow, script = inside.document.createElement("script");
      const tell = (target, data) => setTimeout(() => target.dispatchEvent(new MessageEvent("message", { data })));
      inside.postMessage = data => {
        const event = new MessageEvent("message", { data });
        setTimeout(() => { this.dispatchEvent(event); this.onmessage?.(event); });
      };
      inside.importScripts = (...names) => names.reduce((before, name) => before.then(() => new Promise((done, failed) => {
        const other = Object.assign(inside.document.createElement("script"), { src: name, onload: done, onerror: failed });
        inside.document.body.append(other);
      })), Promise.resolve());
      const ready = new Promise(done => { script.onload = done; });
      this.postMessage = data => { ready.then(() => tell(inside, data)); };
      this.terminate = () => frame.remove();
      script.src = url;
      inside.document.body.append(script);
    }
  };
}
