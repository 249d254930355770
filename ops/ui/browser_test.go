package ui_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"itool/ops/ui"
	"itool/schemas"
)

// browser starts a headless Chromium, or skips the test where there is none.
func browser(t *testing.T) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser, some seconds; the full test run does it")
	}
	path := os.Getenv("CHROMIUM")
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell", "chrome"} {
		if found, err := exec.LookPath(name); path == "" && err == nil {
			path = found
		}
	}
	if path == "" {
		t.Skip("no Chromium is installed (looked for chromium, google-chrome, headless_shell, and $CHROMIUM)")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.WSURLReadTimeout(time.Minute))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	ctx, cancel = context.WithTimeout(ctx, 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// do runs actions in the browser.
func do(t *testing.T, ctx context.Context, actions ...chromedp.Action) {
	t.Helper()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval computes an expression in the page.
func eval[T any](t *testing.T, ctx context.Context, expression string) (value T) {
	t.Helper()
	do(t, ctx, chromedp.Evaluate(expression, &value))
	return value
}

// until waits for an expression to become true in the page.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, chromedp.Poll(expression, nil)); err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
}

// TestBrowser looks at the page as a person does, in a real browser.
func TestBrowser(t *testing.T) {
	ctx := browser(t)
	b := newFixture(t, nil, "r1")
	b.examples()
	write(b, "policy", -1, "policy", schemas.Policy{Checkpoint: "p-base", Status: "base", Metrics: "{}", Curve: "[]"})
	server, _ := b.serve(func(o *ui.Options) { o.Key = "k" })
	do(t, ctx, chromedp.EmulateViewport(1280, 800), chromedp.Navigate(server.URL+"/run/r1?key=k"))

	t.Run("live", func(t *testing.T) {
		until(t, ctx, `document.querySelector("#live.on") && document.querySelector("#accuracy .empty")`)
		do(t, ctx, chromedp.Evaluate(`window.stayed = true`, nil))
		b.verdicts(-1, true, false, false, false)
		until(t, ctx, `document.querySelector("#accuracy").textContent.includes("25.0")`)
		if !eval[bool](t, ctx, `window.stayed === true`) {
			t.Error("the page was loaded again")
		}
	})
	other := newFixture(t, b.c, "r2")
	other.fill()
	other.tree("s0-1", 10_000)
	write(other, "pair", 0, "s0-1", schemas.Pair{ExampleID: "s0-1"})
	other.end()
	do(t, ctx, chromedp.Navigate(server.URL+"/run/r2"))
	t.Run("first screen", func(t *testing.T) {
		bottom := eval[float64](t, ctx, `document.querySelector("#commands").getBoundingClientRect().bottom`)
		if bottom > 800 {
			t.Errorf("the first screen ends at %g of 800 pixels", bottom)
		}
	})
	t.Run("charts", func(t *testing.T) { until(t, ctx, `document.querySelectorAll("#charts canvas").length >= 4`) })
	t.Run("examples", func(t *testing.T) {
		do(t, ctx, chromedp.Evaluate(`document.querySelector("#errors a").click()`, nil))
		until(t, ctx, `document.querySelectorAll("#example-list article").length > 0`)
		if !eval[bool](t, ctx, `document.querySelector("#tab-examples").getAttribute("aria-selected") === "true"`) {
			t.Error("the link of an error does not lead to its examples")
		}
	})
	t.Run("tree", func(t *testing.T) { openTree(t, ctx) })
	t.Run("hostile text", func(t *testing.T) {
		for i := range 9 {
			do(t, ctx, chromedp.KeyEvent(fmt.Sprint(i+1)))
		}
		if title := eval[string](t, ctx, `document.title`); title != "r2 · itool" {
			t.Errorf("the title is %q", title)
		}
		if n := eval[int](t, ctx, `document.querySelectorAll("img, iframe, b > b").length`); n != 0 {
			t.Errorf("texts of the run made %d elements", n)
		}
	})
	t.Run("narrow", func(t *testing.T) { narrow(t, ctx) })
	t.Run("a file", func(t *testing.T) { file(t, ctx, server.URL) })
}

// openTree opens the tree of ten thousand nodes and one of its branches, by mouse and by keyboard.
func openTree(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.KeyEvent("3"))
	until(t, ctx, `document.querySelector('#tree-list a[data-fill$="/s0-1"]')`)
	do(t, ctx, chromedp.Click(`#tree-list a[data-fill$="/s0-1"]`, chromedp.ByQuery))
	until(t, ctx, `document.querySelectorAll("#tree .q").length > 20`)
	const closed = `[...document.querySelectorAll("#tree details:not([open])")]` +
		`.find(d => d.querySelector("[data-children]"))`
	before := eval[int](t, ctx, `document.querySelectorAll("#tree .q").length`)
	do(t, ctx, chromedp.Evaluate(closed+`.querySelector("summary").focus()`, nil), chromedp.KeyEvent("\r"))
	until(t, ctx, fmt.Sprintf(`document.querySelectorAll("#tree .q").length > %d`, before))
}

// overlaps finds texts that lie on one another, and what is wider than the screen.
const overlaps = `(() => {
	const out = [], box = e => e.getBoundingClientRect(), seen = e => e.checkVisibility({visibilityProperty: true});
	const wide = document.documentElement.scrollWidth;
	if (wide > innerWidth) out.push("the page is " + wide + " wide");
	const groups = ["main > *", ".panes > *", ".line li", ".plot .under", ".plot .dot b", ".bar > *", ".tabs button",
		"#errors td", ".command > *", ".gate", ".example > *", ".answers > *", "#settings tr", ".grid > *"];
	for (const g of groups) {
		const all = [...document.querySelectorAll(g)].filter(seen).map(e => [e, box(e)])
			.filter(([, r]) => r.width && r.height);
		for (let i = 0; i < all.length; i++) for (let j = i + 1; j < all.length; j++) {
			const [a, p] = all[i], [b, q] = all[j];
			if (a.contains(b) || b.contains(a)) continue;
			const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
			const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
			const text = e => e.textContent.trim().slice(0, 40);
			if (x > 1 && y > 1) out.push([g, text(a), text(b)].join(" | "));
		}
	}
	return out.slice(0, 5);
})()`

// narrow looks at every tab on a telephone.
func narrow(t *testing.T, ctx context.Context) {
	t.Helper()
	do(t, ctx, chromedp.EmulateViewport(420, 900), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: "dark"},
	}), chromedp.Reload())
	if colour := eval[string](t, ctx, `getComputedStyle(document.body).backgroundColor`); colour != "rgb(16, 20, 24)" {
		t.Errorf("the dark page has the colour %s", colour)
	}
	for _, tab := range eval[[]string](t, ctx, `[...document.querySelectorAll("[role=tab]")].map(t => t.dataset.tab)`) {
		do(t, ctx, chromedp.Evaluate(fmt.Sprintf(`document.querySelector("#tab-%s").click()`, tab), nil))
		until(t, ctx, `!document.querySelector("[aria-busy]")`)
		for _, problem := range eval[[]string](t, ctx, overlaps) {
			t.Errorf("%s: %s", tab, problem)
		}
	}
}

// file opens the page as a file, which may load nothing.
func file(t *testing.T, ctx context.Context, server string) {
	t.Helper()
	_, _, header := get(t, server+"/?key=k", nil)
	html := withCookie(t, server+"/run/r2/report.html", header.Get("Set-Cookie"))
	path := t.TempDir() + "/report.html"
	if err := os.WriteFile(path, []byte(html), 0o600); err != nil {
		t.Fatal(err)
	}
	do(t, ctx, chromedp.EmulateViewport(1280, 600), chromedp.Navigate("file://"+path))
	until(t, ctx, `document.querySelectorAll("#charts canvas").length >= 4`)
	if y := eval[float64](t, ctx, `scrollY`); y != 0 {
		t.Errorf("the page opens %v pixels below its verdict", y)
	}
	if n := eval[int](t, ctx, `performance.getEntriesByType("resource").length`); n != 0 {
		t.Errorf("the file loaded %d resources", n)
	}
	do(t, ctx, chromedp.KeyEvent("3"))
	until(t, ctx, `document.querySelector(".one-tree") && document.querySelector("#pane-trees.shown")`)
}
