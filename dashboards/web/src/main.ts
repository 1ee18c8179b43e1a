// Starts the application: language, theme, address, liveness; then the page.
import "./style/tokens.css";
import "./style/base.css";
import { mount } from "svelte";
import App from "./App.svelte";
import { hand, live } from "./api/live.svelte";
import { language } from "./i18n/index.svelte";
import { router } from "./state/router.svelte";
import { look } from "./state/theme.svelte";

language.start();
look.start();
router.start();
hand.start();
live.start();

const target = document.getElementById("app");
if (target) mount(App, { target });
