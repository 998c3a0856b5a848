package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

const notebookToken = "5ecre7"

// notebookScript starts Jupyter with one notebook that has an empty cell.
const notebookScript = `
cd /tmp
echo '{"cells":[{"cell_type":"code","execution_count":null,"metadata":{},"outputs":[],"source":[]}],' \
	'"metadata":{"kernelspec":{"name":"python3","display_name":"Python 3","language":"python"}},"nbformat":4,"nbformat_minor":4}' > answer.ipynb
exec jupyter-notebook --allow-root --no-browser --ip=127.0.0.1 --port=8888 --NotebookApp.token=` + notebookToken + `
`

// Jupyter checks the Origin of each socket and each change against Host; it is
// started as its manual says and knows nothing of a proxy.
func TestH4B1AnUnmodifiedNotebookLogsInAndRunsACell(t *testing.T) {
	e := enginetest.Require(t)
	b := newBrowser(t)
	name, id := debian(t, notebookScript)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	_, _, hostURL := p.link(`{"port": 8888}`)
	p.eventually("Jupyter is served", func() bool {
		status, _ := p.try("GET", hostURL+"/login", "")
		return status == 200
	})
	b.open(hostURL + "/")
	require.Contains(t, eval[string](b, "location.pathname"), "/login")
	b.do("log in", chromedp.SendKeys("#password_input", notebookToken), chromedp.Click("#login_submit"), chromedp.WaitVisible("#notebook_list"))
	b.until("the folder is listed", `document.querySelector("#notebook_list").innerText.includes("answer.ipynb")`)

	b.open(hostURL + "/notebooks/answer.ipynb")
	b.until("the kernel's socket is open", `window.Jupyter && Jupyter.notebook && Jupyter.notebook.kernel && Jupyter.notebook.kernel.is_connected()`)
	b.do("type into the cell", chromedp.Click(".cell.code_cell .CodeMirror"), chromedp.KeyEvent("print(6*7, 'came back')"),
		chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierShift)))
	b.until("the kernel's answer is shown", `[...document.querySelectorAll(".output_subarea")].some(o => o.innerText.trim() === "42 came back")`)
	b.do("save", chromedp.Click("#save-notbook button"))
	p.eventually("the notebook is saved", func() bool {
		saved, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"cat", "/tmp/answer.ipynb"}})
		return err == nil && strings.Contains(string(saved), "42 came back")
	})
	t.Logf("screenshot: %s", b.screenshot("host"))
	require.Empty(t, b.failures())
}
