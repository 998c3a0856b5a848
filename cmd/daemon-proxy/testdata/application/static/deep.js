export { value } from "/static/deeper.js";
