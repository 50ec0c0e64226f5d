document.querySelectorAll("table.sort").forEach(function (table) {
  var body = table.tBodies[0];
  function value(row, place) {
    var cell = row.cells[place], given = cell.getAttribute("data-v");
    return given === null ? cell.textContent.trim().toLowerCase() : parseFloat(given);
  }
  Array.prototype.forEach.call(table.tHead.rows[0].cells, function (head, place) {
    var button = document.createElement("button");
    button.type = "button";
    while (head.firstChild) button.appendChild(head.firstChild);
    head.appendChild(button);
    button.addEventListener("click", function () {
      var now = head.getAttribute("aria-sort");
      var way = now ? (now === "ascending" ? -1 : 1) : head.classList.contains("n") ? -1 : 1;
      table.querySelectorAll("th[aria-sort]").forEach(function (one) { one.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      Array.prototype.slice.call(body.rows).sort(function (a, b) {
        var total = b.classList.contains("total") - a.classList.contains("total");
        var x = value(a, place), y = value(b, place);
        return total || way * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
      }).forEach(function (row) { body.appendChild(row); });
    });
  });
});
