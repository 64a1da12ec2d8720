(function(){
"use strict";
var root=document.documentElement,$=function(id){return document.getElementById(id)};
$("theme").onclick=function(){
  var dark=root.dataset.theme?root.dataset.theme==="dark":matchMedia("(prefers-color-scheme:dark)").matches;
  root.dataset.theme=dark?"light":"dark";
  try{localStorage.setItem("theme",root.dataset.theme)}catch(e){}
};
$("menu").onclick=function(){this.setAttribute("aria-expanded",$("sidebar").classList.toggle("open"))};
// A column is sorted by its numbers where it has some, by its words or dates elsewhere; the first click puts the largest on top.
function value(row,i){var text=row.cells[i]?row.cells[i].textContent.trim():"",n=parseFloat(text.replace(/[,$%\u2212]/g,function(c){return c==="\u2212"?"-":""}));return isNaN(n)||/^\d{4}-\d\d/.test(text)?text:n}
document.querySelectorAll("main table").forEach(function(table){
  var head=table.tHead&&table.tHead.rows[table.tHead.rows.length-1],body=table.tBodies[0];
  if(!head||!body||body.rows.length<3||table.querySelector("[rowspan],tbody [colspan]"))return;
  Array.prototype.forEach.call(head.cells,function(cell,i){
    var button=document.createElement("button");button.type="button";
    button.textContent=cell.textContent.trim()||"row";cell.textContent="";cell.appendChild(button);
    button.onclick=function(){
      var up=cell.getAttribute("aria-sort")==="descending",rows=Array.prototype.slice.call(body.rows);
      rows.sort(function(a,b){var x=value(a,i),y=value(b,i);
        if(typeof x!==typeof y)return typeof x==="number"?-1:1;
        var order=typeof x==="number"?x-y:x.localeCompare(y);return up?order:-order});
      Array.prototype.forEach.call(head.cells,function(c){c.removeAttribute("aria-sort")});
      cell.setAttribute("aria-sort",up?"ascending":"descending");
      rows.forEach(function(r){body.appendChild(r)})};
  });
});
document.querySelectorAll(".parameters .filter").forEach(function(input){
  input.oninput=function(){var word=input.value.toLowerCase();
    input.parentNode.querySelectorAll("tbody tr").forEach(function(row){row.hidden=row.textContent.toLowerCase().indexOf(word)<0})};
});
// search.js stands beside the pages and calls this with [page, title, anchor, heading, text] of each section.
window.sizewiseSearch=function(sections){
  var input=$("search"),found=$("found");document.querySelector(".search").hidden=false;
  document.querySelector(".search").onsubmit=function(){return false};
  input.oninput=function(){
    var words=input.value.toLowerCase().split(/\s+/).filter(Boolean),out=[];found.textContent="";
    if(!words.length||input.value.trim().length<2)return;
    sections.forEach(function(s){var low=(s[1]+" "+s[3]+" "+s[4]).toLowerCase(),head=(s[1]+" "+s[3]).toLowerCase();
      if(words.every(function(w){return low.indexOf(w)>=0}))out.push([words.filter(function(w){return head.indexOf(w)>=0}).length,s])});
    out.sort(function(a,b){return b[0]-a[0]});
    if(!out.length){found.textContent="Nothing found";return}
    out.slice(0,12).forEach(function(hit){var s=hit[1],a=document.createElement("a"),small=document.createElement("small"),at=s[4].toLowerCase().indexOf(words[0]);
      a.href=s[0]+".html"+(s[2]?"#"+s[2]:"");a.textContent=s[3]||s[1];
      small.textContent=s[1]+(at>=0?": …"+s[4].slice(Math.max(0,at-30),at+70)+"…":"");a.appendChild(small);found.appendChild(a)});
  };
};
document.addEventListener("keydown",function(e){if(e.key==="/"&&!/INPUT|TEXTAREA/.test(document.activeElement.tagName)){var box=$("search");if(box&&!box.form.hidden){e.preventDefault();box.focus()}}});
})();
