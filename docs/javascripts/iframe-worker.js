/* Browsers start no worker for a page that is opened as a file. There a hidden frame runs the search in its place. */
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      const waiting = [];
      frame.hidden = true;
      // In the frame `postMessage` would speak to the frame itself.
      frame.srcdoc =
        "<script>postMessage = data => frameElement.dispatchEvent(new MessageEvent('message', {data}))</" + "script>" +
        '<script src="' + new URL(url, location.href) + '"></' + "script>";
      frame.addEventListener("message", event => this.dispatchEvent(new MessageEvent("message", { data: event.data })));
      this.postMessage = data => waiting.push(data);
      frame.addEventListener("load", () => {
        this.postMessage = data => frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
        waiting.forEach(this.postMessage);
      });
      document.body.append(frame);
    }
  };
  window.Worker = window.IFrameWorker;
}
