// What is wrong with how a page looks, as a list of complaints; for tests of the status page.
(() => {
  const complaints = [];
  const root = document.documentElement;
  if (root.scrollWidth > innerWidth) {
    complaints.push(`the page is ${root.scrollWidth} wide, the window ${innerWidth}`);
  }
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  // Relative luminance and contrast of WCAG 2.2.
  const luminance = (colour) => {
    const [r, g, b] = numbers(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const colour = getComputedStyle(it).backgroundColor;
      if (numbers(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let looked = 0;
  while (texts.nextNode()) {
    const text = texts.currentNode, element = text.parentElement;
    if (!text.data.trim() || ["TITLE", "NOSCRIPT", "desc", "title"].includes(element.tagName)) continue;
    const range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect();
    // What is for screen readers alone is cut off.
    const hidden = element.closest(".hidden, thead");
    if (box.width < 2 || (hidden && getComputedStyle(hidden).clipPath !== "none")) continue;
    looked += 1;
    const style = getComputedStyle(element), words = `“${text.data.trim().slice(0, 40)}”`;
    const drawn = element instanceof SVGElement;
    const large = parseFloat(style.fontSize) >= (Number(style.fontWeight) >= 600 ? 18.66 : 24);
    const ratio = contrast(drawn ? style.fill : style.color, ground(element));
    if (ratio < (large ? 3 : 4.5)) complaints.push(`${words} has a contrast of ${ratio.toFixed(2)}`);
    // A wide table can be scrolled.
    if (!element.closest(".wide") && (box.left < -1 || box.right > innerWidth + 1)) {
      complaints.push(`${words} reaches from ${box.left.toFixed()} to ${box.right.toFixed()} of ${innerWidth}`);
    }
  }
  if (looked < 40) complaints.push(`only ${looked} texts are to be seen`);
  return complaints;
})()
