onmessage = event => postMessage("worker got " + event.data);
