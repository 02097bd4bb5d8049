// Search runs in a worker, which browsers refuse to start from files. Where the site is opened as
// files, a hidden frame takes the worker's place.
if (location.protocol === "file:") {
  window.Worker = window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.scope = this.frame.contentWindow;
      this.scope.postMessage = (data) => {
        const message = new MessageEvent("message", { data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      const load = (each) =>
        new Promise((done, failed) => {
          const script = this.scope.document.createElement("script");
          script.src = new URL(each, location.href).href;
          script.onload = done;
          script.onerror = failed;
          this.scope.document.body.appendChild(script);
        });
      this.scope.importScripts = (...urls) =>
        urls.reduce((before, each) => before.then(() => load(each)), Promise.resolve());
      this.ready = load(url);
    }

    postMessage(data) {
      this.ready.then(() => this.scope.dispatchEvent(new MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  };
}
